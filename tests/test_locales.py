"""The translations: every language says everything that the nodes say, and nothing else."""

import json
import re

import pytest
from tiny_files import ROOT

from svd_nodes.nodes import NODES
from svd_nodes.nodes.host.standalone import io

LOCALES = ROOT / "locales"
LANGUAGES = sorted(path.name for path in LOCALES.iterdir())
FILES = sorted(path.name for path in (LOCALES / "en").iterdir())

# Words that a user meets in the editor as they are, in every language.
LITERALS = re.compile(
    r"\b(?:\d+(?:\.\d+)?|svd(?:_\w+)?|fp16|fp32|bf16|(?:auto|fast|balanced|low)(?=:)|crop|pad|stretch|karras|align-your-steps|"
    r"linear|triangle|constant|diffusers|models/\w+|S_churn|CLIP|VAE|UNet|CPU|fps - 1)\b",
    re.ASCII,
)
# What the editor's message format reads as a placeholder, a link to another message or a plural.
SPECIAL = re.compile(r"[{}@|]")


def read(language, name):
    return json.loads((LOCALES / language / name).read_text(encoding="utf-8"))


def leaves(tree, path=()):
    """Every text of a nested dictionary under the path of its keys."""
    for key, value in tree.items():
        yield from leaves(value, (*path, key)) if isinstance(value, dict) else [((*path, key), value)]


def shown(schema: io.Schema):
    """What a node says, as the editor looks it up."""
    return {
        "display_name": schema.display_name,
        "description": schema.description,
        "inputs": {i.id: {"name": i.display_name or i.id, "tooltip": i.tooltip} for i in schema.inputs},
        "outputs": {str(k): {"name": o.display_name, "tooltip": o.tooltip} for k, o in enumerate(schema.outputs)},
    }


def test_the_languages():
    assert {"en", "zh", "ja", "es"} <= set(LANGUAGES)
    assert {"main.json", "nodeDefs.json"} <= set(FILES)


def test_english_is_what_the_nodes_say():
    assert read("en", "nodeDefs.json") == {n.GET_SCHEMA().node_id: shown(n.GET_SCHEMA()) for n in NODES}


def test_each_part_of_the_category_that_is_ours_has_a_name():
    ours = {part for node in NODES for part in node.GET_SCHEMA().category.split("/")} - {"video"}
    assert set(read("en", "main.json")["nodeCategories"]) == ours


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", FILES)
def test_nothing_is_missing_and_nothing_left_over(language, name):
    assert sorted(path.name for path in (LOCALES / language).iterdir()) == FILES
    english, translated = dict(leaves(read("en", name))), dict(leaves(read(language, name)))
    assert translated.keys() == english.keys()
    for path, text in translated.items():
        assert text.strip() == text != "", path
        assert not SPECIAL.search(text), path


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language != "en"])
def test_translations_are_translated_and_keep_what_must_stay(language):
    translated = dict(leaves(read(language, "nodeDefs.json")))
    for path, english in leaves(read("en", "nodeDefs.json")):
        text = translated[path]
        if path[-1] in ("tooltip", "description"):
            assert text != english, path
            assert set(LITERALS.findall(english)) <= set(LITERALS.findall(text)) | set(_within(text)), path
        if path[-1] == "display_name":
            assert text != english, path
            assert "SVD" in text, path


def _within(text):
    """The same words where no space sets them apart, as in Chinese and Japanese."""
    return re.findall(r"[A-Za-z0-9_/.-]+(?: - 1)?", text)
