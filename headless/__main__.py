"""`python -m svd_nodes.headless` is `svd-nodes`."""

import sys

from .threads import settle


def main() -> None:
    """Starts the command line; its packages are the extra that the editor has no use for."""
    settle()
    try:
        from .cli import main as start
    except KeyboardInterrupt:  # it has begun nothing yet
        sys.exit(130)
    except ModuleNotFoundError as error:
        sys.exit(f"svd-nodes needs the package '{error.name}': pip install 'svd-nodes[standalone]' brings it.")
    start()


if __name__ == "__main__":
    main()
