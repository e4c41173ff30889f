"""Running workflows and making clips with no editor: the command line `svd-nodes` and what stands behind it.

`graph` reads a workflow, `check` finds what is wrong with it, `editor` turns the editor's form into the API form,
`core_nodes` stands in for the host's own nodes, `execute` runs, `films` writes what `encoders` encode,
`files` names it, `cli` is the command line.
"""
