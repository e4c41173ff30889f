"""Renders the pictures of the help pages into `web/docs/pictures/`, and the templates' thumbnails into `workflows/`.

python -m svd_nodes.tools.help_pictures            # all, a quarter of an hour on two cores, seconds on a card
python -m svd_nodes.tools.help_pictures motion fps # some of them
"""

import argparse
from collections.abc import Sequence

from .layout import save
from .pages import PAGES, PLAYED_FPS
from .studio import ROOT, Studio
from .thumbnails import TEXTS, thumbnail


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m svd_nodes.tools.help_pictures", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join([*PAGES, *TEXTS])}; all when none is given")
    names = parser.parse_args(arguments).names or [*PAGES, *TEXTS]
    if unknown := set(names) - {*PAGES, *TEXTS}:
        parser.error(f"there is no picture called {', '.join(sorted(unknown))}")
    studio = Studio()
    for name in names:
        if name in PAGES:
            path = ROOT / "web" / "docs" / "pictures" / f"{name}.webp"
            save(PAGES[name](studio), path, PLAYED_FPS if name == "fps" else 7)
        else:
            path = ROOT / "workflows" / f"{name}.jpg"
            thumbnail(name, studio).save(path, quality=85, optimize=True)
        print(f"{path.relative_to(ROOT)}  {path.stat().st_size // 1000} kB", flush=True)


if __name__ == "__main__":
    main()
