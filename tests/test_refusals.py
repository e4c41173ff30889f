"""What cannot be done is refused by one sentence, before anything heavy is imported, read or made."""

import errno
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
import typer
from command import call, refused
from tiny_files import checkpoint, picture, tiny_workflow

from svd_nodes.headless import cli
from svd_nodes.headless.sentences import printable, result
from svd_nodes.svd.errors import InputError, NonFiniteError


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
VARIANT = ("fp16", "nonsense", "../fp16", LONG)  # of a single file, which has none
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
        "min_guidance": (*NUMBER, "101"),
        "max_guidance": (*NUMBER, "101"),
        "guidance": CHOICE,
        "fps": (*NUMBER, "0", "0.5", "121", "1/0", "1/2", "1e999999999"),
        "motion_bucket": (*WHOLE, "1024"),
        "noise_aug": (*NUMBER, "11"),
        "seed": (*WHOLE, str(2**64)),
        "decode_chunk": (*WHOLE, "0", "1025", "99999999999999999999"),
        "precision": CHOICE,
        "memory": CHOICE,
        "variant": VARIANT,
        "checkpoints": FOLDER,
        "device": DEVICE,
    },
    "inspect": {
        "checkpoint": (*MISSING, "text.txt", "a.png", "."),
        "variant": VARIANT,
        "checkpoints": FOLDER,
    },
    "convert": {
        "source": (*MISSING, "text.txt", "a.png"),
        "destination": ("taken.mp4", "w.json", "new.bin"),
        "layout": CHOICE,
        "precision": CHOICE,
        "variant": VARIANT,
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
        "headers": ("", "nonsense", ": x", "two words: x", "name: x\ny: z"),
        "ca": (*MISSING, "text.txt", "."),
        "patience": ("-1", "-inf", "nan", "abc", "", "1,5"),
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


HEAVY = ("torch", "transformers", "av", "triton", "diffusers")
AT_ONCE = [
    ["generate", "missing.png", "-o", "b.mp4"],
    ["generate", "a.png", "-o", "film.avi"],
    ["generate", "a.png", "-o", "taken.mp4", "--checkpoint", "svd_nano.safetensors"],
    ["generate", "a.png", "-o", "b.mp4"],  # there is no svd_xt.safetensors
    ["generate", "a.png", "-o", "b.mp4", "--checkpoint", "svd_nan.safetensors"],
    *(
        ["generate", "a.png", "-o", "b.mp4", "--checkpoint", "svd_nano.safetensors", option, value]
        for option, value in (
            ("--steps", "0"),
            ("--fps", "1/0"),
            ("--width", "12"),
            ("--max-guidance", "nan"),
            ("--decode-chunk", "99999999999999999999"),
            ("--device", "gpu"),
            ("--precision", "fp8"),
        )
    ),
    ["generate", "a.png", "a.png", "-o", "clips", "--checkpoint", "svd_nano.safetensors"],
    ["run", "quikstart"],
    ["run", "quickstart", "--set", "StableVideoSample.seed"],
    ["run", "quickstart", "--set", "StableVideoSampel.seed=1"],
    ["run", "quickstart", "--device", "gpu"],
    ["run", "text.txt"],
    ["inspect", "svd_xt.safetensors"],
    ["convert", "missing.safetensors", "b.safetensors", "--layout", "single"],
    ["sheet", "missing.mp4"],
    ["sheet", "taken.mp4", "-o", "a.jpg"],
    ["queue", "quikstart"],
    ["queue", "quickstart", "--image", "missing.png"],
    ["queue", "quickstart", "--seeds", "8-1"],
    ["genrate"],
]


def test_what_can_be_refused_without_torch_is_refused_without_it(folder):
    lines = f"""
    import json, sys
    sys.path.insert(0, {str(Path(__file__).parent)!r})
    from command import call
    for words in json.loads(sys.argv[1]):
        code, out, err = call(*words)
        print(json.dumps([words, code, out, [name for name in {HEAVY} if name in sys.modules]]))
    """
    command = [sys.executable, "-c", textwrap.dedent(lines), json.dumps(AT_ONCE)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert told == [[words, 2, "", []] for words in AT_ONCE]


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["run", "quikstart"], "did you mean quickstart?"),
        (["run", "Image_to_video.json"], "did you mean image_to_video?"),
        (["run", "image_to_video_10_step"], "did you mean image_to_video_10_steps?"),
        (["queue", "text_to_vidoe"], "did you mean text_to_video?"),
        (["run", "nothing"], "check the path, or see `svd-nodes workflows`."),
        (["run", "quickstart", "--set", "StableVideoSampel.seed=1"], "did you mean StableVideoSample?"),
        (["run", "quickstart", "--set", "Load Imag.image=a.png"], "did you mean Load Image?"),
        (["run", "quickstart", "--set", "StableVideoSample.sed=1"], "did you mean seed?"),
        (["inspect", "svd_nan.safetensors"], "did you mean svd_nano.safetensors?"),
        (["generate", "a.png", "-o", "b.mp4", "--stpes", "3"], "--steps"),
        (["shet"], "'sheet'"),
    ],
)
def test_a_slip_gets_the_nearest_name(words, meant, folder):
    assert meant in refused(*words)


def test_workflows_lists_what_run_knows():
    from svd_nodes.headless.bundled import HERE, IN_THE_EDITOR
    from svd_nodes.headless.graph import BUNDLED

    assert {path.stem for path in BUNDLED.glob("*.json")} == HERE.keys() | IN_THE_EDITOR.keys()
    code, out, err = call("workflows")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()] == [*HERE, *IN_THE_EDITOR]
    assert [name for name in HERE | IN_THE_EDITOR if _is_refused(name)] == list(IN_THE_EDITOR)


def _is_refused(name):
    """For its kinds of nodes."""
    return "runs there alone" in refused("run", name, "--set", "StableVideoLoadCheckpoint.checkpoint=missing")


# ---- the outermost guard


def guarded(monkeypatch, error, *words):
    """How a command ends in which this happens."""

    def fails():
        raise error

    monkeypatch.setattr(cli, "listed", fails)
    return call(*(words or ("workflows",)))


ENDINGS = {
    "bad input": (InputError("No such thing."), 2, "bad input  No such thing.\n"),
    "NaN": (NonFiniteError("The frames are NaN."), 1, "failed  The frames are NaN.\n"),
    "no memory": (MemoryError(), 1, "failed  There is not enough memory"),
    "no memory on a card": (torch.OutOfMemoryError("CUDA out of memory"), 1, "failed  There is not enough memory"),
    "no rights": (
        PermissionError(errno.EACCES, "Permission denied", "\x1b[2J.mp4"),
        1,
        "failed  A file could not be written or read (\\x1b[2J.mp4): Permission denied.\n",
    ),
    "a long name": (
        OSError(errno.ENAMETOOLONG, "File name too long", "x" * 5000),
        2,
        f"bad input  A file could not be written or read ({'x' * 300}): File name too long.\n",
    ),
    "too deep": (RecursionError("maximum recursion depth exceeded"), 1, "failed  Something that was given is nested"),
    "an old terminal": (
        UnicodeEncodeError("ascii", "写", 0, 1, "ordinal not in range"),
        1,
        "failed  What is written in ascii cannot hold '写'; set PYTHONIOENCODING=utf-8",
    ),
    "a package": (
        ModuleNotFoundError("No module named 'av'", name="av"),
        1,
        "failed  The package 'av' is missing; pip",
    ),
    "Ctrl-C": (KeyboardInterrupt(), 130, "Stopped.\n"),
    "a fault": (
        KeyError("\x1b]0;title\x07\nline"),
        1,
        r"failed  Something unexpected stopped the work (KeyError: '\x1b]0;title\x07\nline').",
    ),
    "a fault with a long story": (ValueError("x" * 5000), 1, "failed  Something unexpected stopped the work (ValueE"),
}


@pytest.mark.parametrize("kind", ENDINGS)
def test_whatever_happens_ends_in_a_sentence(kind, monkeypatch):
    error, code, sentence = ENDINGS[kind]
    ended, out, err = guarded(monkeypatch, error)
    assert (ended, out) == (code, "")
    assert err.startswith(sentence)
    assert "Traceback" not in err
    assert "\x1b" not in err
    assert max(map(len, err.splitlines())) < 500
    assert ("svd-nodes doctor" in err) == ("--debug" in err) == (kind.startswith(("a fault", "too deep")))


@pytest.mark.parametrize("words", [("--debug", "workflows"), ("workflows", "--debug")])
def test_debug_shows_where_it_was_wherever_it_stands(words, monkeypatch):
    code, out, err = guarded(monkeypatch, KeyError("odd\x1b"), *words)
    assert (code, out) == (1, "")
    assert "Traceback (most recent call last):" in err
    assert "in fails" in err
    assert "\x1b" not in err
    assert "Traceback" not in guarded(monkeypatch, KeyError("odd"))[2], "it is for one command"


def test_a_closed_reader_ends_in_silence(monkeypatch):
    assert guarded(monkeypatch, BrokenPipeError(errno.EPIPE, "Broken pipe")) == (1, "", "")


@pytest.mark.skipif(sys.platform == "win32", reason="names are bytes on POSIX alone")
def test_results_keep_their_bytes_in_a_pipe_and_are_shown_on_a_terminal(capfdbinary, monkeypatch):
    path = Path(os.fsdecode(b"\xff\x1b[31m.mp4"))
    result(path)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    result(path)
    assert capfdbinary.readouterr().out == b"\xff\x1b[31m.mp4\n\\udcff\\x1b[31m.mp4\n"
