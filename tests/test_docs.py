"""The pages: what they link to is there, and the first one stays short."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "training" / "README.md"]
PAGES += sorted((ROOT / "docs").glob("*.md"))
LINK = re.compile(r"\]\((?P<path>[^)#\s]*)(?:#(?P<anchor>[^)\s]*))?\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def anchors(page):
    """The headings of a page, as links name them: lower case, hyphens for spaces, other marks left out."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    links = LINK.finditer(FENCE.sub("", page.read_text(encoding="utf-8")))
    local = [(m["path"], m["anchor"]) for m in links if "://" not in m["path"]]
    for path, anchor in local:
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), path
        assert anchor is None or anchor in anchors(target), f"{path}#{anchor}"


def test_the_first_page_fits_a_reader():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(readme.splitlines()) <= 150
    first_screen = readme[: readme.index("## ")]
    assert all(part in first_screen for part in ("docs/quickstart.webp", "make demo", "make test"))


def test_every_page_is_linked_from_another():
    linked = {
        (page.parent / m["path"]).resolve()
        for page in PAGES
        for m in LINK.finditer(page.read_text(encoding="utf-8"))
        if m["path"] and "://" not in m["path"]
    }
    assert set(PAGES) - {ROOT / "README.md"} <= linked
