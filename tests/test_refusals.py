"""What cannot be done is refused by one sentence, before anything heavy is imported, read or made."""

import json
from pathlib import Path

import pytest
import typer
from command import call
from tiny_files import checkpoint, picture, tiny_workflow

from svd_nodes.headless import cli
from svd_nodes.headless.sentences import printable


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return checkpoint(tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture
def folder(tmp_path, monkeypatch, tiny):
    """A picture, a text, a workflow and a film's name that is taken."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    picture(tmp_path / "a.png")
    Path("text.txt").write_text("text")
    Path("taken.mp4").write_text("mine")
    Path("w.json").write_text(json.dumps(tiny_workflow("quickstart", tiny, tmp_path / "a.png")))
    return tmp_path


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Bild, 写真\u3000と 👨\u200d👩.png", "Bild, 写真\u3000と 👨\u200d👩.png"),
        ("\x1b[31mred\x1b]0;title\x07", "\\x1b[31mred\\x1b]0;title\\x07"),
        ("two\nlines\r\x0b\x85\u2028", "two\\nlines\\r\\x0b\\x85\\u2028"),
        ("\x9b2J\x7f", "\\x9b2J\\x7f"),  # a control of one byte, and delete
        ("gnp.\u202egpj.exe", "gnp.\\u202egpj.exe"),  # would be read from right to left
        ("half \udcff", "half \\udcff"),  # a name that is no UTF-8
        ("C:\\x1b", "C:\\x1b"),
    ],
)
def test_names_are_shown_and_never_obeyed(text, shown):
    assert printable(text) == shown


# ---- every option with values that cannot be

LONG, NUL = "x" * 300, "a\0b"
WHOLE = ("-1", "1.5", "1e20", "nan", "abc", "", "9" * 30, "9" * 5000)
NUMBER = ("-1", "nan", "inf", "-inf", "1e400", "abc", "", "1,5")
CHOICE = ("", "nonsense", "AUTO ", LONG)
MISSING = ("", "missing", LONG, "text.txt/inside")
FOLDER = (*MISSING[1:], "text.txt")
DEVICE = ("", "gpu", "cuda:x", "cuda:-1", "cuda:9999", "cpu\n", "meta", LONG)
SETTING = ("", "x", "=", "StableVideoSample=1", "StableVideoSample.=1", ".seed=1", "Sampler.seed=1")
OUTPUT = (
    "",
    "film.avi",
    ".mp4",
    "take.1",
    "taken.mp4",
    "taken.mp4/",
    "text.txt",
    "text.txt/film.mp4",
    LONG,
    f"{LONG}.mp4",
)

BAD = {
    "run": {
        "workflow": (*MISSING, "text.txt", "a.png", "."),
        "settings": (*SETTING, "8.sed=1", "8.seed=x", "8.seed=-1"),
        "output": ("text.txt", "text.txt/inside", LONG * 2),
        "checkpoints": FOLDER,
        "device": DEVICE,
    },
    "generate": {
        "pictures": (*MISSING, "text.txt", "."),
        "output": OUTPUT,
        "checkpoint": (*MISSING, "text.txt", "a.png"),
        "width": (*WHOLE, "0", "12", "8200"),
        "height": (*WHOLE, "0", "12", "8200"),
        "fit": CHOICE,
        "frames": (*WHOLE, "0", "1025"),
        "steps": (*WHOLE, "0", "1001"),
        "schedule": CHOICE,
        "min_guidance": (*NUMBER, "101", "4"),
        "max_guidance": (*NUMBER, "101", "0.5"),
        "guidance": CHOICE,
        "fps": (*NUMBER, "0", "0.5", "121", "1/0", "1/2", "1e999999999"),
        "motion_bucket": (*WHOLE, "1024"),
        "noise_aug": (*NUMBER, "11"),
        "seed": (*WHOLE, str(2**64)),
        "decode_chunk": (*WHOLE, "0", "1025", "99999999999999999999"),
        "precision": CHOICE,
        "memory": CHOICE,
        "checkpoints": FOLDER,
        "device": DEVICE,
    },
    "inspect": {
        "checkpoint": (*MISSING, "text.txt", "a.png", "."),
        "checkpoints": FOLDER,
    },
    "convert": {
        "source": (*MISSING, "text.txt", "a.png"),
        "destination": ("taken.mp4", "w.json", "new.bin"),
        "layout": CHOICE,
        "precision": CHOICE,
        "checkpoints": FOLDER,
    },
    "sheet": {
        "clips": (*MISSING, "text.txt", "."),
        "output": ("sheet.jpg", "sheet", "text.txt/sheet.png", f"{LONG}.png"),
        "columns": (*WHOLE, "0", "101"),
    },
    "doctor": {"checkpoints": FOLDER},
    "workflows": {},
    "queue": {
        "workflow": (*MISSING, "text.txt", "a.png", "."),
        "server": ("", "ftp://127.0.0.1", "http://", "127.0.0.1:port", "http://127.0.0.1:99999"),
        "images": (*MISSING, "text.txt", "."),
        "settings": SETTING,  # what a node has, its server alone knows
        "seeds": ("", "x", "1-", "8-1", "1,1", "1-99999", "-1", "9" * 5000),
        "image_node": (),  # the same
        "output": (),  # made when the server has answered
        "patience": ("-1", "-inf", "abc", "", "1,5"),
    },
}
SOUND = {
    "run": {"workflow": "w.json"},
    "generate": {"pictures": "a.png", "output": "film.mp4", "checkpoint": "TINY"},
    "inspect": {"checkpoint": "TINY"},
    "convert": {"source": "TINY", "destination": "new.safetensors", "layout": "single"},
    "sheet": {"clips": "taken.mp4"},
    "doctor": {},
    "workflows": {},
    "queue": {"workflow": "w.json", "server": "http://127.0.0.1:9"},  # where nobody answers: that would be a 1
}
PARAMETERS = {
    name: {parameter.name: parameter for parameter in command.params if not getattr(parameter, "is_flag", False)}
    for name, command in typer.main.get_command(cli.app).commands.items()
}


def test_every_option_has_its_bad_values():
    assert {name: set(values) for name, values in BAD.items()} == {name: set(p) for name, p in PARAMETERS.items()}


@pytest.mark.parametrize(("command", "option"), [(name, option) for name, values in BAD.items() for option in values])
def test_bad_values_are_refused_before_the_work(command, option, folder, tiny, monkeypatch):
    """By a sentence and 2, with no checkpoint loaded, nothing sampled, nothing written."""

    def work(*_, **__):
        raise AssertionError("the work has begun")

    for place in ("svd.checkpoint.load", "headless.generate.load", "headless.checkpoints.load", "svd.sampler.sample"):
        monkeypatch.setattr(f"svd_nodes.{place}", work)
    before = sorted(map(str, Path().rglob("*")))
    for value in BAD[command][option]:
        given = SOUND[command] | {option: value}
        words = [command]
        for name, text in given.items():
            parameter = PARAMETERS[command][name]
            text = str(tiny) if text == "TINY" else text
            words += [f"{parameter.opts[0]}={text}"] if parameter.opts[0].startswith("--") else [text]
        code, out, err = call(*words)
        assert (code, out) == (2, ""), (value[:80], code, out, err)
        assert err
        assert "Traceback" not in err
        assert sorted(map(str, Path().rglob("*"))) == before, value
