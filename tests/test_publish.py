"""Written whole or not at all: names, neighbours at work, other people's files, and what file systems lack."""

import errno
import json
import os
import signal
import stat
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from killing import content, forked, leftovers, start

from svd_nodes.svd.errors import InputError
from svd_nodes.svd.files import publish as publishing
from svd_nodes.svd.files import replace, staging
from svd_nodes.svd.files.names import JOURNAL, LOCK, NEW
from svd_nodes.svd.files.publish import (
    place,
    place_folder,
    publish,
    publish_folder,
    reason,
    require_writable,
    unfinished_file,
    unfinished_folder,
)
from svd_nodes.svd.files.rename import exchange, rename_new
from svd_nodes.svd.files.staging import sweep

resource = pytest.importorskip("resource")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="fork, umask and owners are POSIX")


def cannot(*_):
    raise OSError(errno.EINVAL, "not on this file system")


def texts(folder):
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


def put(path, *names, overwrite=False):
    """A folder of files that hold their own name and their folder's."""
    with unfinished_folder(path) as part:
        for name in names:
            (part / name).write_text(f"{path.name}/{name}")
        return publish_folder(part, path, overwrite, lambda entry: entry.suffix == ".txt")


# ---- files


def test_files_are_whole_or_not_there(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(ZeroDivisionError), unfinished_file(tmp_path / "a.txt") as part:
        part.write_text(str(1 / 0) if part.write_text("half") else "")
    assert texts(tmp_path) == {"a.txt": "old"}
    with unfinished_file(tmp_path / "a.txt") as part:
        part.write_text("new")
        assert publish(part, tmp_path / "a.txt", overwrite=True) == tmp_path / "a.txt"
    assert texts(tmp_path) == {"a.txt": "new"}
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("lacks", [(), ("link",), ("link", "rename_new")], ids=["links", "no links", "neither"])
def test_a_name_that_is_taken_is_never_taken_away(lacks, tmp_path, monkeypatch):
    for name in lacks:
        monkeypatch.setattr(os if name == "link" else publishing, name, cannot)
    for name, expected in (
        ("a.txt", "a.txt"),
        ("a.txt", "a_00001_.txt"),
        ("a.txt", "a_00002_.txt"),
        ("b_00009_.txt", "b_00009_.txt"),
        ("b_00009_.txt", "b_00010_.txt"),
    ):
        with unfinished_file(tmp_path / name) as part:
            part.write_text(expected)
            assert publish(part, tmp_path / name) == tmp_path / expected
    (tmp_path / "c.txt").mkdir()
    with unfinished_file(tmp_path / "c.txt") as part, pytest.raises(OSError, match=r"c\.txt"):
        place(part, tmp_path / "c.txt", overwrite=True)
    (tmp_path / "c.txt").rmdir()
    assert all(path.read_text() == path.name for path in tmp_path.iterdir())
    assert len(list(tmp_path.iterdir())) == 5


def test_the_systems_own_words(tmp_path):
    """Linux and macOS have both renames; a folder that is not there is no lack of them."""
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    exchange(tmp_path / "a", tmp_path / "b")
    assert texts(tmp_path) == {"a": "b", "b": "a"}
    with pytest.raises(FileExistsError):
        rename_new(tmp_path / "a", tmp_path / "b")
    rename_new(tmp_path / "a", tmp_path / "c")
    assert texts(tmp_path) == {"b": "a", "c": "b"}
    with pytest.raises(FileNotFoundError):
        exchange(tmp_path / "no", tmp_path / "b")


# ---- folders


@pytest.mark.parametrize("can", [True, False], ids=["exchange", "journal"])
def test_a_folder_keeps_what_is_not_ours(can, tmp_path, monkeypatch):
    if not can:
        monkeypatch.setattr(replace, "exchange", cannot)
    clip = tmp_path / "clip"
    assert put(clip, "1.txt", "2.txt") == clip
    assert put(clip, "1.txt") == clip / "frames", "it is there, and not to be replaced"
    assert put(clip, "1.txt", "3.txt", overwrite=True) == clip
    assert texts(clip) == {"1.txt": "clip/1.txt", "3.txt": "clip/3.txt"}
    assert texts(clip / "frames") == {"1.txt": "clip/1.txt"}
    (clip / "diary").write_text("mine")
    (clip / "2.txt").symlink_to("1.txt")  # called as ours, and so it goes; what it leads to is not touched through it
    assert put(clip, "2.txt", overwrite=True) == clip
    assert texts(clip) == {"2.txt": "clip/2.txt", "diary": "mine"}
    (clip / "4").mkdir()
    assert put(clip, "4", overwrite=True) == clip / "frames_00001_", "a folder of somebody's has a new file's name"
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("where", ["beside", "inside"])
def test_what_comes_in_the_last_moment_stays(where, tmp_path, monkeypatch):
    """Between the look at the folder and its replacement."""
    clip = tmp_path / "clip"
    put(clip, "1.txt", "2.txt")
    real = replace._write

    def write(*words):
        real(*words)
        (clip / "diary").write_text("mine")

    monkeypatch.setattr(replace, "_write", write)
    if where == "inside":
        monkeypatch.chdir(clip)
    put(clip, "1.txt", overwrite=True)
    assert texts(clip) == {"1.txt": "clip/1.txt", "diary": "mine"}
    assert leftovers(tmp_path) == []


def test_where_something_else_takes_the_name_meanwhile(tmp_path):
    with unfinished_folder(tmp_path / "clip") as part:
        (part / "1.txt").touch()
        (tmp_path / "clip").write_text("mine")
        with pytest.raises(FileExistsError):
            place_folder(part, tmp_path / "clip", True, Path.is_file)
        assert publish_folder(part, tmp_path / "clip", True, Path.is_file) == tmp_path / "clip_00001_"
    assert (tmp_path / "clip").read_text() == "mine"


def test_permissions_are_the_users_own(tmp_path):
    before = os.umask(0o027)
    try:
        with unfinished_file(tmp_path / "a.txt") as part:
            assert stat.S_IMODE(part.parent.stat().st_mode) == 0o700, "nobody else can plant a link there"
            place(part, tmp_path / "a.txt")
        put(tmp_path / "new", "1.txt")
        (tmp_path / "shared").mkdir()
        (tmp_path / "shared").chmod(0o2775)
        put(tmp_path / "shared", "1.txt")
        put(tmp_path / "shared", "2.txt", overwrite=True)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (*tmp_path.iterdir(), tmp_path / "new/1.txt")}
    assert modes == {"a.txt": 0o640, "new": 0o750, "shared": 0o2775, "1.txt": 0o640}


# ---- neighbours


def test_a_living_neighbours_work_is_left_alone(tmp_path):
    told, go = os.pipe(), os.pipe()

    def work():
        with unfinished_folder(tmp_path / "clip") as part:
            (part / "1.txt").write_text("theirs")
            os.write(told[1], b".")
            os.read(go[0], 1)
            publish_folder(part, tmp_path / "clip", False, Path.is_file)

    child = start(work)
    os.read(told[0], 1)
    (found,) = leftovers(tmp_path)
    os.utime(found, (0, 0))  # however old
    sweep(tmp_path)
    put(tmp_path / "other", "1.txt")
    assert leftovers(tmp_path) == [found]
    os.write(go[1], b".")
    assert os.waitpid(child, 0)[1] == 0
    assert texts(tmp_path / "clip") == {"1.txt": "theirs"}
    assert leftovers(tmp_path) == []


def test_a_dead_ones_is_swept(tmp_path):
    def work():
        with unfinished_file(tmp_path / "a.txt") as part:
            part.write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)

    assert forked(work) == -signal.SIGKILL
    assert len(leftovers(tmp_path)) == 1
    require_writable(tmp_path)  # as every command does before its work
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_can_be_locked_age_decides(tmp_path, monkeypatch):
    monkeypatch.setattr(staging, "_take", lambda lock: None)
    with unfinished_file(tmp_path / "a.txt"):
        sweep(tmp_path)
        (found,) = leftovers(tmp_path)
        long_ago = found.stat().st_mtime - staging.FORGOTTEN - 9
        for path in (*found.iterdir(), found):
            os.utime(path, (long_ago, long_ago))
        sweep(tmp_path)
        assert leftovers(tmp_path) == []


@pytest.mark.parametrize("can", [True, False], ids=["exchange", "journal"])
def test_many_at_once_into_one_folder(can, tmp_path, monkeypatch):
    """The folder is one of theirs in whole, at every moment or (with a journal) in the end; nobody fails."""
    if not can:
        monkeypatch.setattr(replace, "exchange", cannot)
    clip = tmp_path / "clip"

    def work(mark):
        for turn in range(12):
            with unfinished_folder(clip) as part:
                for number in range(1 + (mark + turn) % 4):
                    (part / f"{number}.txt").write_text(f"{mark} {turn} of {1 + (mark + turn) % 4}")
                assert publish_folder(part, clip, True, Path.is_file) == clip

    def is_whole():
        while True:
            before, found, after = clip.stat().st_ino, texts(clip), clip.stat().st_ino
            if before == after:
                break
        return len(set(found.values())) == 1 and len(found) == int(next(iter(found.values())).split()[-1])

    work(9)
    children = [start(lambda mark=mark: work(mark)) for mark in range(3)]
    while children:
        child, status = os.waitpid(children[0], os.WNOHANG)
        if child:
            assert status == 0
            children.pop(0)
        if can:
            with suppress(FileNotFoundError):  # exchanged, and taken away while we looked
                assert is_whole()
    assert is_whole()
    assert leftovers(tmp_path) == []


def test_many_at_once_into_one_name_keep_all(tmp_path):
    def work(mark):
        for turn in range(8):
            with unfinished_file(tmp_path / "a.txt") as part:
                part.write_text(f"{mark} {turn}")
                publish(part, tmp_path / "a.txt")

    children = [start(lambda mark=mark: work(mark)) for mark in range(3)]
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    assert sorted(texts(tmp_path).values()) == sorted(f"{mark} {turn}" for mark in range(3) for turn in range(8))


# ---- hostile surroundings


def test_planted_links_are_not_followed(tmp_path, monkeypatch):
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "box").mkdir()
    (tmp_path / "box" / "precious").write_text("mine")
    home = tmp_path / "home"
    home.mkdir()
    for name, target in (("aaaaaaaa", "../box"), ("bbbbbbbb", "../precious"), ("cccccccc", "../nowhere")):
        (home / f".svd-nodes-{name}.part").symlink_to(target)
    (home / "a.txt").symlink_to("../precious")
    planted = content(tmp_path)
    guesses = iter(["aaaaaaaa", "bbbbbbbb", "cccccccc", "dddddddd"])
    monkeypatch.setattr(tempfile, "_get_candidate_names", lambda: guesses)
    with unfinished_file(home / "a.txt") as part:
        assert part.parent.name == ".svd-nodes-dddddddd.part"
        part.write_text("new")
        place(part, home / "a.txt", overwrite=True)
    assert not (home / "a.txt").is_symlink()
    assert (home / "a.txt").read_text() == "new"
    assert content(tmp_path) == planted | {"home/a.txt": content(home)["a.txt"]}


@pytest.mark.parametrize("names", [{"into": ".."}, {"into": "/tmp"}, {"old": ["../precious"]}, {"new": ["a/b"]}])
def test_a_journal_that_leads_elsewhere_is_not_obeyed(names, tmp_path):
    """It may have come out of an archive."""
    (tmp_path / "precious").write_text("mine")
    box = tmp_path / "home" / ".svd-nodes-aaaaaaaa.part"
    (box / NEW / "a").mkdir(parents=True)
    (box / NEW / "a/b").touch()
    (box / LOCK).touch()
    (box / JOURNAL).write_text(json.dumps({"into": ".", "old": [], "new": [], "inode": 0} | names))
    sweep(tmp_path / "home")
    assert texts(tmp_path) == {"precious": "mine"}
    assert list((tmp_path / "home").iterdir()) == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"into": "."}', '{"into": 5, "old": [], "new": [], "inode": 0}'])
def test_half_a_journal_is_none(text, tmp_path):
    box = tmp_path / ".svd-nodes-aaaaaaaa.part"
    box.mkdir()
    (box / LOCK).touch()
    (box / JOURNAL).write_text(text)
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []


def nobody(work):
    """The exit code of it done by a user who is not root."""

    def dropped():
        if os.geteuid() == 0:
            os.setuid(65534)
        work()

    return forked(dropped)


def test_folders_of_others(monkeypatch):
    """A folder that we may write into, in one that we may not; and one that nothing can be written to."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:  # which others can come to
        home = Path(name)
        home.chmod(0o755)
        (home / "open").mkdir()
        (home / "open").chmod(0o777)
        put(home / "open", "1.txt", "2.txt")
        (home / "open").chmod(0o777)

        def closed():
            with pytest.raises(InputError, match=r"Nothing can be written to .*\(Permission denied\); choose another"):
                require_writable(home)

        assert nobody(closed) == 0
        if os.geteuid() == 0:  # else all of it is ours
            assert nobody(lambda: put(home / "open", "2.txt", overwrite=True)) == 0
            assert texts(home / "open") == {"2.txt": "open/2.txt"}
        assert leftovers(home) == []


def test_a_full_disk_leaves_nothing_and_the_old(tmp_path):
    put(tmp_path / "clip", "1.txt")
    before = content(tmp_path)

    def work():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        with pytest.raises(OSError) as caught, unfinished_folder(tmp_path / "clip") as part:  # noqa: PT011, PT012
            (part / "1.txt").write_text("small")
            (part / "2.txt").write_bytes(bytes(9999))
            publish_folder(part, tmp_path / "clip", True, Path.is_file)
        assert reason(caught.value).startswith("the disk is full")

    assert forked(work) == 0
    assert content(tmp_path) == before
    assert leftovers(tmp_path) == []
