"""Notes which state of the help pages' sections says the same in all languages, so that a test tells which is behind.

    python -m svd_nodes.tools.help_stamps                    # after writing a change in every language
    python -m svd_nodes.tools.help_stamps --one-language     # after a slip of the pen, where the others need no change

English is `web/docs/<node>.md`, which the editor falls back to; the others are `web/docs/<node>/<language>.md`.
"""

import argparse
import hashlib
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "web" / "docs"
STAMPS = ROOT / "tests" / "data" / "help_stamps.json"
LANGUAGES = ("en", "es", "ja", "zh")

Section = dict[str, str]  # language -> hash of the section in it, empty where it lacks the section; and its "heading"
Stamps = dict[str, list[Section]]  # of every page


def page_of(node: str, language: str, docs: Path = DOCS) -> Path:
    return docs / f"{node}.md" if language == "en" else docs / node / f"{language}.md"


def sections(page: Path) -> list[str]:
    """The parts of a page, each with its heading: the title's first."""
    return page.read_text(encoding="utf-8").strip().split("\n## ") if page.exists() else []


def current(docs: Path = DOCS) -> Stamps:
    """The pages as they are."""
    return {path.stem: _page(path.stem, docs) for path in sorted(docs.glob("*.md"))}


def _page(node: str, docs: Path) -> list[Section]:
    texts = [sections(page_of(node, language, docs)) for language in LANGUAGES]
    return [
        {"heading": parts[0].partition("\n")[0].removeprefix("# ")}
        | dict(zip(LANGUAGES, map(_hash, parts), strict=True))
        for parts in itertools.zip_longest(*texts, fillvalue="")
    ]


def _hash(text: str) -> str:
    return hashlib.sha256(text.strip().encode()).hexdigest()[:12] if text else ""


def read(path: Path = STAMPS) -> Stamps:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def changed(now: Stamps, stamped: Stamps) -> Iterator[tuple[str, str, list[str], list[str]]]:
    """Each section that is not as stamped: page, heading, the languages that changed, and those that did not."""
    for page, found in now.items():
        for section, before in itertools.zip_longest(found, stamped.get(page, []), fillvalue=dict[str, str]()):
            new = [each for each in LANGUAGES if section.get(each, "") != before.get(each, "")]
            if new:
                heading = section.get("heading") or before.get("heading", "")
                yield page, heading, new, [each for each in LANGUAGES if each not in new]


def behind(now: Stamps, stamped: Stamps) -> list[str]:
    """A sentence for each section that was changed in some languages and not in the others."""
    return [
        f'{page}, "{heading}": changed in {" ".join(new)}, not in {" ".join(old)}.'
        for page, heading, new, old in changed(now, stamped)
        if old
    ]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Stamps the help pages as saying the same in all languages.")
    parser.add_argument("--one-language", action="store_true", help="also what was changed in some languages alone")
    now = current()
    if not parser.parse_args(arguments).one_language and (left := behind(now, read())):
        print(*left, "Nothing is stamped: write it in the other languages first.", sep="\n")
        return 1
    STAMPS.write_text(json.dumps(now, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{STAMPS.relative_to(ROOT)}: {len(now)} pages in {len(LANGUAGES)} languages.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
