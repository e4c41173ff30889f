"""Killed at any moment: what has a final name is whole, old and new are never mixed, nothing blocks the next run."""

import errno
import os
import random
import signal
import sys
from itertools import count
from pathlib import Path

import pytest
import torch
from killing import content, forked, killed_at, leftovers

from svd_nodes.svd.checkpoint import save
from svd_nodes.svd.files import publish as publishing
from svd_nodes.svd.files import replace
from svd_nodes.svd.files.publish import place, publish_folder, unfinished_file, unfinished_folder
from svd_nodes.svd.files.staging import sweep
from svd_nodes.tools.random_checkpoint import preset_models

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="fork and kill -9 are POSIX")

OLD, NEW, LATER = "old", "new", "later"
NUMBERS = {OLD: 3, NEW: 2, LATER: 4}  # of files; fewer than before, and more


def cannot(*_):
    raise OSError(errno.EINVAL, "not on this file system")


def lacking(monkeypatch, *names):
    """A file system without these."""
    for name in names:
        monkeypatch.setattr({"link": os, "rename_new": publishing, "exchange": replace}[name], name, cannot)


def write_file(path, text, overwrite=True):
    with unfinished_file(path) as part:
        part.write_text(text)
        place(part, path, overwrite)


def write_folder(path, text, overwrite=True):
    """Files as the frames of a clip are: some names are those of the clip before."""
    with unfinished_folder(path) as part:
        for number in range(NUMBERS[text]):
            (part / f"{number}.txt").write_text(f"{text} {number}")
        publish_folder(part, path, overwrite, Path.is_file)


def files_of(text):
    return {f"{number}.txt": f"{text} {number}" for number in range(NUMBERS[text])}


def texts_in(folder):
    return {name: (folder / name).read_text() for name in content(folder)}


def every_point(prepare, work, check):
    """Walks all moments of `work`: each in a fresh folder, killed there, then checked."""
    for point in count(1):
        prepare()
        was_killed = killed_at(point, work)
        check(point)
        if not was_killed:
            assert point > 10
            return


PLACES = {  # how a folder of frames can lie, and what the file system can do
    "nothing there": ("clip", None, ()),
    "empty": ("clip", "", ()),
    "replaced": ("clip", OLD, ()),
    "no exchange": ("clip", OLD, ("exchange",)),
    "empty, no exchange": ("clip", "", ("exchange",)),
    "stood in": (".", OLD, ()),
    "through a link": ("link", OLD, ()),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", PLACES)
def test_a_folder_is_the_old_one_or_the_new_one(case, tmp_path, monkeypatch):
    name, before, lacks = PLACES[case]
    rounds = count()

    def prepare():
        nonlocal home
        home = tmp_path / str(next(rounds))
        (home / "stand").mkdir(parents=True)
        os.chdir(home / "stand")
        (home / "stand/link").symlink_to(home / "target")
        if before is not None:
            (home / "target" if name == "link" else Path(name)).mkdir(exist_ok=True)
            for file, text in (files_of(before) if before else {}).items():
                Path(name, file).write_text(text)

    def check(point):
        wholes = [files_of(before) if before else {}, files_of(NEW)]
        now = texts_in(Path(name)) if Path(name).exists() else {}
        assert any(now.items() <= whole.items() for whole in wholes), f"mixed: {now}"
        if point % 2:  # the next run cleans up by itself, too
            for place in (Path(name), Path(name).absolute().parent, home):
                sweep(place)
            assert (texts_in(Path(name)) if Path(name).exists() else {}) in wholes
            assert leftovers(home) == []
        write_folder(Path(name), LATER)
        assert texts_in(Path(name)) == files_of(LATER)
        assert leftovers(home) == []
        assert not list(home.rglob("*_00001_*"))

    home = tmp_path
    monkeypatch.chdir(tmp_path)
    lacking(monkeypatch, *lacks)
    every_point(prepare, lambda: write_folder(Path(name), NEW), check)


@pytest.mark.slow
def test_killed_while_cleaning_up_after_a_kill(tmp_path, monkeypatch):
    """And that up to five times, each at another moment."""
    lacking(monkeypatch, "exchange")
    generator = random.Random(0)
    for number in range(12):
        clip = tmp_path / str(number) / "clip"
        clip.mkdir(parents=True)
        for file, text in files_of(OLD).items():
            (clip / file).write_text(text)
        killed_at(generator.randrange(30, 90), lambda clip=clip: write_folder(clip, NEW))
        for _ in range(5):
            killed_at(generator.randrange(1, 40), lambda clip=clip: [sweep(clip.parent), sweep(clip)])
            assert any(texts_in(clip).items() <= files_of(whole).items() for whole in (OLD, NEW))
        sweep(clip.parent)
        sweep(clip)
        assert texts_in(clip) in (files_of(OLD), files_of(NEW))
        assert leftovers(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("lacks", [(), ("link",), ("link", "rename_new")], ids=["links", "no links", "neither"])
@pytest.mark.parametrize("before", [None, OLD])
def test_a_file_is_the_old_one_or_the_new_one(before, lacks, tmp_path, monkeypatch):
    lacking(monkeypatch, *lacks)
    file = tmp_path / "clip.txt"

    def prepare():
        file.unlink(missing_ok=True)
        if before:
            file.write_text(before)

    def check(point):
        if point % 2:
            sweep(tmp_path)
            assert leftovers(tmp_path) == []
            assert file.read_text() in (before, NEW) if file.exists() else not before
        elif file.exists() and lacks != ("link", "rename_new"):  # there an empty file holds the name for a moment
            assert file.read_text() in (before, NEW)
        write_file(file, LATER)
        assert texts_in(tmp_path) == {"clip.txt": LATER}
        assert leftovers(tmp_path) == []

    every_point(prepare, lambda: write_file(file, NEW, overwrite=bool(before)), check)


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["single", "diffusers"])
def test_a_checkpoint_is_the_old_one_or_the_new_one(layout, tmp_path):
    torch.set_num_threads(1)  # a child of ours has none of its parent's
    models = [preset_models("tiny", seed) for seed in (0, 1)]
    path = tmp_path / ("svd" if layout == "diffusers" else "svd.safetensors")
    save(models[1], path, layout)
    new = content(tmp_path)
    save(models[0], path, layout, overwrite=True)
    old = content(tmp_path)
    assert old.keys() == new.keys()
    assert old != new
    points = random.Random(layout).sample(range(1, 70), 5)
    for point in sorted(points):
        killed_at(point, lambda: save(models[1], path, layout, overwrite=True))
        assert content(tmp_path) in (old, new)
        save(models[0], path, layout, overwrite=True)
        assert content(tmp_path) == old
        assert leftovers(tmp_path) == []


@pytest.mark.parametrize(("number", "code"), [("SIGTERM", 143), ("SIGHUP", 129), ("SIGINT", 130)])
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_told_to_end_it_cleans_up(kind, number, code, tmp_path):
    import typer

    from svd_nodes.headless.sentences import sentences

    def work():
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        try:
            with sentences(), (unfinished_file if kind == "file" else unfinished_folder)(tmp_path / "clip.txt") as part:
                (part if kind == "file" else part / "a.txt").write_text("half")
                os.kill(os.getpid(), getattr(signal, number))
                publish_folder(part, tmp_path / "clip.txt", True, Path.is_file)
        except typer.Exit as end:
            sys.exit(end.exit_code)

    assert forked(work) == code
    assert list(tmp_path.iterdir()) == []


def test_a_signal_that_is_ignored_stays_ignored():
    from svd_nodes.headless.signals import stopping

    def work():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
        with stopping():
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL

    assert forked(work) == 0


@pytest.mark.slow
def test_commands_ended_at_random_moments():
    from svd_nodes.tests.fuzz.kills import CASES, trials

    ends = [end for _, end in trials(len(CASES), seed=1)]
    assert set(ends) <= {"SIGKILL", "SIGTERM", "SIGHUP", "at its end"}
    assert ends.count("SIGKILL") > 2
