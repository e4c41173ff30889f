"""`svd-nodes queue`: many clips from a running editor, over the network and without its window.

`plan` says which jobs there are, `manifest` remembers what became of each, `server` and `events` talk to the editor,
`results` brings the files home, `work` puts it all together, `bars` shows it, `command` is the command line.
Nothing here needs torch: the networks run where the server is.
"""
