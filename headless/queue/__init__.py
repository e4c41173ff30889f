"""`svd-nodes queue`: many clips from a running editor, over the network and without its window.

What there is to do: `pictures` are looked at, `plan` says which jobs there are, `manifest` remembers what became of
each, `session` is one call of the command, `command` the command line.

The way to the server: `address` says where it is and what only it may hear, `proxy` what stands between, `trust`
which certificates do, `limits` how long and how large answers may be; `connection` is all of these at work.

What it says: `server` asks and `events` listens; `descriptions`, `refusals` and `outcome` read the answers, `words`
makes them fit to be shown.

What comes of it: `work` sees every job to its end (`timing`), `results` brings the files home, `whole` says what they
are, `losses` which are missing; `bars` shows it.
"""
