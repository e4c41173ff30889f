"""The templates of `workflows/` and the blueprint of `subgraphs/`, written as code: where each node stands, and why."""
