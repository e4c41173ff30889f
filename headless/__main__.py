"""`python -m svd_nodes.headless` is `svd-nodes`."""

from .cli import main

main()
