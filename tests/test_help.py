"""The help pages: one for every node in every language, each with all its inputs, and pictures that exist, are small
and are used."""

import json
import re
import shutil
from collections import Counter

import pytest
from PIL import Image
from tiny_files import ROOT

from svd_nodes.nodes import NODES
from svd_nodes.tools import help_stamps
from svd_nodes.tools.help_pictures.pages import PAGES
from svd_nodes.tools.help_pictures.thumbnails import TEXTS

DOCS = ROOT / "web" / "docs"
IMAGE = re.compile(r"!\[([^\]]*)\]\(([^)]+)\)")
BOLD = re.compile(r"\*\*([^*]+)\*\*")
OTHERS = [language for language in help_stamps.LANGUAGES if language != "en"]
SCHEMAS = {node.GET_SCHEMA().node_id: node.GET_SCHEMA() for node in NODES}


def images(page):
    return IMAGE.findall((DOCS / page).read_text(encoding="utf-8"))


def text_of(id, language):
    return help_stamps.page_of(id, language).read_text(encoding="utf-8")


def names(language):
    """What the editor calls each input in a language -> its id, of all nodes."""
    definitions = json.loads((ROOT / "locales" / language / "nodeDefs.json").read_text(encoding="utf-8"))
    return {each["name"]: id for node in definitions.values() for id, each in node["inputs"].items()}


def test_every_node_has_a_page_and_every_page_a_node():
    assert {path.stem for path in DOCS.glob("*.md")} == set(SCHEMAS)


def test_every_page_is_there_in_every_language():
    languages = sorted(path.name for path in (ROOT / "locales").iterdir())
    assert sorted(help_stamps.LANGUAGES) == languages
    found = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert found == {help_stamps.page_of(id, each).relative_to(DOCS).as_posix() for id in SCHEMAS for each in languages}


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


def test_no_language_is_behind():
    """After a change in every language: python -m svd_nodes.tools.help_stamps."""
    now, stamped = help_stamps.current(), help_stamps.read()
    assert help_stamps.behind(now, stamped) == []
    assert now == stamped, "Written in every language, and not stamped: python -m svd_nodes.tools.help_stamps"


@pytest.mark.parametrize("language", help_stamps.LANGUAGES)
def test_a_change_of_one_language_is_noticed_and_named(language, tmp_path):
    docs = tmp_path / "docs"
    shutil.copytree(DOCS, docs, ignore=shutil.ignore_patterns("pictures"))
    stamped = help_stamps.current(docs)
    page = help_stamps.page_of("StableVideoSample", language, docs)
    page.write_text(page.read_text(encoding="utf-8").replace("2.5", "2.4"), encoding="utf-8")
    others = " ".join(each for each in help_stamps.LANGUAGES if each != language)
    said = help_stamps.behind(help_stamps.current(docs), stamped)
    assert said == [f'StableVideoSample, "Inputs": changed in {language}, not in {others}.']
    for each in help_stamps.LANGUAGES:
        page = help_stamps.page_of("StableVideoSample", each, docs)
        page.write_text(page.read_text(encoding="utf-8").replace("2.5", "2.4"), encoding="utf-8")
    assert help_stamps.behind(help_stamps.current(docs), stamped) == []
    assert help_stamps.current(docs) != stamped


def test_a_section_that_one_language_gets_renames_or_loses_is_noticed(tmp_path):
    docs = tmp_path / "docs"
    shutil.copytree(DOCS, docs, ignore=shutil.ignore_patterns("pictures"))
    stamped = help_stamps.current(docs)

    def change(id, language, old, new):
        page = help_stamps.page_of(id, language, docs)
        page.write_text(page.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")

    change("StableVideoSigmas", "en", "## When time runs out", "## One more\n\nText.\n\n## When time runs out")
    change("StableVideoDecode", "en", "## Saving the video", "## Saving")
    change("StableVideoFitImage", "es", "## Si falta memoria", "")
    said = help_stamps.behind(help_stamps.current(docs), stamped)
    assert 'StableVideoSigmas, "One more": changed in en, not in es ja zh.' in said
    assert 'StableVideoDecode, "Saving": changed in en, not in es ja zh.' in said
    assert 'StableVideoFitImage, "When memory runs out": changed in es, not in en ja zh.' in said


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("id", SCHEMAS)
def test_a_translation_has_the_shape_of_the_english_page(id, language):
    """The same headings, lists and pictures in the same order, and the same inputs under the names of the editor."""
    english, translated = text_of(id, "en"), text_of(id, language)

    def shape(text):
        lines = [line for line in text.splitlines() if line.startswith(("#", "-", "!"))]
        return [line.split(" ")[0] if line[0] != "!" else IMAGE.findall(line)[0][1] for line in lines]

    assert shape(translated) == shape(english)
    definitions = json.loads((ROOT / "locales" / language / "nodeDefs.json").read_text(encoding="utf-8"))
    assert translated.startswith(f"# {definitions[id]['display_name']}\n")
    bold = {each: Counter(map(names(each).get, BOLD.findall(text_of(id, each)))) for each in ("en", language)}
    assert {k: n for k, n in bold[language].items() if k} == {k: n for k, n in bold["en"].items() if k}
    for input, said in definitions[id]["inputs"].items():
        assert f"**{said['name']}**" in translated
        assert input == said["name"].lower() or re.search(rf"[（(]{input}[）)]", translated), input


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("id", SCHEMAS)
def test_a_translation_keeps_numbers_files_and_values(id, language):
    """What a reader types or looks for is the same in every language."""
    literal = re.compile(
        r"\d+(?:\.\d+)*|\b(?:svd_\w+|fp16|fp32|bf16|karras|align-your-steps|crop|pad|stretch)\b", re.ASCII
    )
    assert set(literal.findall(text_of(id, "en"))) <= set(literal.findall(text_of(id, language)))


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("id", SCHEMAS)
def test_a_translation_names_the_other_nodes_as_the_editor_does(id, language):
    """Wherever the English page says a node's title, the translation has that node's title in its language."""
    titles = json.loads((ROOT / "locales" / language / "nodeDefs.json").read_text(encoding="utf-8"))
    for node, schema in SCHEMAS.items():
        if f"*{schema.display_name}*" in text_of(id, "en"):
            assert titles[node]["display_name"] in text_of(id, language), node
