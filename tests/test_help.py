"""The help pages: one for every node, each with all its inputs, and pictures that exist, are small and are used."""

import re

import pytest
from PIL import Image
from tiny_files import ROOT

from svd_nodes.nodes import NODES
from svd_nodes.tools.help_pictures.pages import PAGES
from svd_nodes.tools.help_pictures.thumbnails import TEXTS

DOCS = ROOT / "web" / "docs"
IMAGE = re.compile(r"!\[([^\]]*)\]\(([^)]+)\)")
SCHEMAS = {node.GET_SCHEMA().node_id: node.GET_SCHEMA() for node in NODES}


def images(page):
    return IMAGE.findall((DOCS / page).read_text(encoding="utf-8"))


def test_every_node_has_a_page_and_every_page_a_node():
    assert {path.stem for path in DOCS.glob("*.md")} == set(SCHEMAS)


@pytest.mark.parametrize("id", SCHEMAS)
def test_a_page_says_what_the_node_is_called_and_all_its_inputs(id):
    text = (DOCS / f"{id}.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {SCHEMAS[id].display_name}\n")
    assert [i.id for i in SCHEMAS[id].inputs if f"**{i.id}**" not in text and f"*{i.id}*" not in text] == []
    for heading in ("## Inputs", "## What differs from core"):
        assert heading in text
    assert "## When memory runs out" in text or "## When time runs out" in text


def test_the_pictures_are_those_that_the_tool_renders_and_each_is_shown():
    shown = {source for page in DOCS.glob("*.md") for _, source in images(page.name)}
    assert shown == {f"pictures/{name}.webp" for name in PAGES}
    assert shown == {f"pictures/{path.name}" for path in (DOCS / "pictures").iterdir()}
    assert {path.stem for path in (ROOT / "workflows").glob("*.jpg")} == set(TEXTS)


@pytest.mark.parametrize("id", SCHEMAS)
def test_pictures_have_a_description_and_are_small(id):
    found = images(f"{id}.md")
    assert all(len(description) > 20 for description, _ in found)
    assert sum((DOCS / source).stat().st_size for _, source in found) < 600_000


def test_all_pictures_together_are_small_and_can_be_opened():
    paths = list((DOCS / "pictures").iterdir())
    assert sum(path.stat().st_size for path in paths) < 3_000_000
    for path in paths:
        with Image.open(path) as picture:
            assert picture.width <= 700
            picture.seek(picture.n_frames - 1)
            picture.load()
