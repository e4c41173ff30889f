"""`svd-nodes queue`: many clips from a running editor, over the network and without its window.

`plan` says which jobs there are, `manifest` remembers what became of each, `server` and `events` talk to the editor,
`outcome` says how a workflow ended, `results` brings the files home and `whole` says
whether they are, `work` sees every job to its end, `bars` shows
it, `session` is one call of the command, `command` the command line.
"""
