"""`svd-nodes queue` against a stand-in for the editor's server: what it makes; nothing is lost, nothing made twice."""

import errno
import hashlib
import io
import json
import os
import re
import signal
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from queue import Queue

import pytest
from PIL import Image
from stand_in import drawn, film, stand_in
from tiny_files import ROOT, WORKFLOWS, picture
from typer.testing import CliRunner

from svd_nodes.headless.cli import app
from svd_nodes.headless.queue import session
from svd_nodes.headless.queue.plan import read_seeds
from svd_nodes.headless.queue.server import EditorServer
from svd_nodes.headless.queue.timing import Timing
from svd_nodes.headless.queue.whole import ending, fault, is_whole
from svd_nodes.svd.errors import InputError

EIGHT = ["--image", "a.png", "--image", "b.png", "--seeds", "1-4"]


@pytest.fixture
def server():
    with stand_in() as running:
        yield running


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder to stand in, with two pictures."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(session, "TIMING", Timing(pause=0.05, ask_every=0.1))
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.png", 20, 20)
    return tmp_path


def words_of(server, *words):
    where = [] if "--server" in words else ["--server", server.url]
    patience = [] if "--patience" in words else ["--patience", "20"]
    return ["queue", "quickstart", *where, *patience, *map(str, words)]


def call(server, *words):
    """Exit code, stdout and stderr of `svd-nodes queue quickstart --server URL WORDS`."""
    result = CliRunner().invoke(app, words_of(server, *words), env={"COLUMNS": "200", "TERM": "dumb"})
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def start(server, *words):
    """The same beside the test; returns what waits for its end."""
    ended = Queue()
    threading.Thread(target=lambda: ended.put(call(server, *words)), daemon=True).start()
    return lambda: ended.get(timeout=120)


def client(server, *words):
    """The same as a process of its own."""
    command = [sys.executable, "-m", "svd_nodes.headless", *words_of(server, *words)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # where the tests run may have it ignored
    )


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to this"
        time.sleep(0.005)


def records():
    return json.loads(Path("output/manifest.json").read_text())["jobs"]


def assert_whole(server, count=8):
    """Every clip is there, is what the manifest says, and was rendered once."""
    assert len(server.rendered) == count
    assert set(server.rendered.values()) == {1}, server.rendered
    jobs = records()
    assert [job["state"] for job in jobs] == ["done"] * count
    names = [file["file"] for job in jobs for file in job["files"]]
    assert len(set(names)) == count
    for job in jobs:
        for file in job["files"]:
            data = Path("output", file["file"]).read_bytes()
            assert (len(data), hashlib.sha256(data).hexdigest()) == (file["bytes"], file["sha256"])
            assert job["prompt_id"] in data.decode("latin-1")  # the stand-in's films say whose they are
    assert sorted(os.listdir("output")) == sorted([".manifest.json.lock", "manifest.json", *names])


def until_held(server, rendered):
    """Waits until all eight jobs are queued and so many are rendered (`server.allowed`, set before)."""
    until(lambda: len(server.prompts) == 8 and sum(server.rendered.values()) == rendered)


# ---- what it makes


def test_every_picture_with_every_seed(folder, server):
    code, out, err = call(server, *EIGHT)
    assert code == 0, err
    assert out.splitlines() == [f"output/{stem}_seed{seed}.mp4" for stem in "ab" for seed in (1, 2, 3, 4)]
    assert_whole(server)
    assert {(p, s) for p, s in server.rendered} == {
        (hashlib.sha256((folder / name).read_bytes()).hexdigest(), seed)
        for name in ("a.png", "b.png")
        for seed in (1, 2, 3, 4)
    }
    asked = json.loads(Path("output/manifest.json").read_text())["asked"]
    assert asked["seeds"] == [1, 2, 3, 4]
    assert "8/8  b_seed4  done in 2.5 s" in err


def test_an_address_in_capitals(folder, server):
    code, _, err = call(server, "--image", "a.png", "--server", server.url.replace("http", "HTTP"))
    assert code == 0, err
    assert json.loads(Path("output/manifest.json").read_text())["server"] == server.url


def test_a_terminal_shows_one_time_of_a_job_that_is_over(folder, server, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    server.fails_on = {2}
    err = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", call(server, "--image", "a.png", "--seeds", "1-2")[2])
    done, failed = (re.findall(rf"^{name} .*", err, re.M)[-1].rstrip() for name in ("a_seed1", "a_seed2"))
    assert done.endswith("1/1 done in 2.5 s")
    assert failed.endswith("1/1 failed")
    assert re.search(r"^all .* 2/2 jobs +0:00:\d\d", err, re.M)


def test_a_seed_goes_to_every_node_that_draws_noise_and_settings_to_theirs(folder, server):
    words = ["--seeds", "7", "--set", "StableVideoCondition.motion_bucket_id=90", "--image", "a.png"]
    assert call(server, *words)[0] == 0
    (prompt,) = server.prompts.values()
    assert prompt["5"]["inputs"]["seed"] == prompt["8"]["inputs"]["seed"] == 7
    assert prompt["6"]["inputs"]["motion_bucket_id"] == 90
    assert prompt["2"]["inputs"]["image"] in server.uploads


def test_a_seed_that_was_set_stays(folder, server):
    assert call(server, "--image", "a.png", "--seeds", "7", "--set", "StableVideoEncodeLatent.seed=1")[0] == 0
    (prompt,) = server.prompts.values()
    assert (prompt["5"]["inputs"]["seed"], prompt["8"]["inputs"]["seed"]) == (1, 7)


def test_the_editors_form_runs_as_its_twin(folder, server):
    code, _, err = call(server, "--image", "a.png")
    assert code == 0, err
    result = CliRunner().invoke(
        app,
        ["queue", str(WORKFLOWS / "quickstart.json"), "--server", server.url, "--image", "a.png", "--output", "other"],
    )
    assert result.exit_code == 0, result.stderr
    one, two = ({id: node["class_type"] for id, node in prompt.items()} for prompt in server.prompts.values())
    assert one == two


def test_several_files_of_a_job_are_numbered(folder, server):
    prompt = json.loads((WORKFLOWS / "api" / "quickstart.json").read_text())
    prompt["11"] = {"class_type": "SaveImage", "inputs": {"images": ["9", 0], "filename_prefix": "clip"}}
    Path("w.json").write_text(json.dumps(prompt))
    words = ["queue", "w.json", "--server", server.url, "--image", "a.png"]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert {"a_00001.png", "a_00002.png"} < set(os.listdir("output"))


def test_pictures_of_one_name_get_clips_of_two(folder, server):
    os.mkdir("more")
    picture(Path("more/A.png"), 24, 16)
    assert call(server, "--image", "a.png", "--image", "more/A.png")[0] == 0
    assert {"a.mp4", "A_2.mp4"} < set(os.listdir("output"))


@pytest.mark.parametrize(
    ("name", "kind", "suffix"),
    [
        ('pic.p"ng', "png", ".png"),
        ("x.png [output]", "png", ".png"),
        ("x.", "jpeg", ".jpg"),
        ("X.JPEG", "jpeg", ".jpeg"),
        ("x.webp\n", "webp", ".webp"),
    ],
)
def test_a_suffix_that_no_server_takes(name, kind, suffix, folder, server):
    picture(Path("drawn.png"))
    with Image.open("drawn.png") as image:
        image.save(name, kind)
    code, _, err = call(server, "--image", name)
    assert code == 0, err
    (upload,) = server.uploads
    assert re.fullmatch(rf"svd-queue/[A-Za-z0-9_-]+{re.escape(suffix)}", upload)
    assert server.uploads[upload] == Path(name).read_bytes()


@pytest.mark.parametrize(
    ("becomes", "what"), [("another", "was changed after this queue began"), ("nothing", "cannot be")]
)
def test_a_picture_that_changes_before_it_is_uploaded(becomes, what, folder, server, monkeypatch):
    object_info = EditorServer.object_info

    def meanwhile(self):
        Path("b.png").unlink()
        if becomes == "another":
            picture(Path("b.png"), 30, 30)
        return object_info(self)

    monkeypatch.setattr(EditorServer, "object_info", meanwhile)
    code, out, err = call(server, *EIGHT)
    assert (code, out) == (2, "")
    assert f"The picture b.png {what}" in err
    assert not server.prompts
    assert not Path("output").exists()


# ---- what it survives


def test_a_lost_connection(folder, server):
    server.allowed = 3
    end = start(server, *EIGHT)
    until_held(server, 3)
    server.away = True
    server.cut()
    server.allowed = None
    until(lambda: len(server.rendered) == 8)
    time.sleep(0.2)
    server.away = False
    code, _, err = end()
    assert code == 0, err
    assert "is away" in err
    assert "The server is back." in err
    assert_whole(server)


def test_a_restarted_server(folder, server):
    server.allowed = 3
    end = start(server, *EIGHT)
    until_held(server, 3)
    server.restart()
    server.allowed = None
    assert end()[0] == 0
    assert_whole(server)


@pytest.mark.parametrize("restart", [False, True], ids=["server stays", "server restarts too"])
def test_a_killed_client_is_resumed(restart, folder, server):
    server.allowed = 3
    process = client(server, *EIGHT)
    until_held(server, 3)
    process.kill()
    process.wait()
    if restart:
        server.restart()
    server.allowed = None
    if not restart:
        until(lambda: len(server.rendered) == 8)  # the server goes on by itself
    code, out, err = call(server, *EIGHT, "--resume")
    assert code == 0, err
    assert len(out.splitlines()) == 8
    assert_whole(server)


def test_a_client_that_dies_before_it_could_collect_renders_nothing_again(folder, server):
    """Everything is rendered, nothing is home, and the server has forgotten all: the films themselves are found."""
    server.allowed = 0
    process = client(server, *EIGHT)
    until(lambda: len(server.prompts) == 8)
    process.kill()
    process.wait()
    server.allowed = None
    until(lambda: len(server.rendered) == 8 and server.running is None)
    broken = sorted(server.files)[0]
    server.files[broken] = server.files[broken][:-1]  # the server was ended while it wrote this one
    server.restart()
    assert call(server, *EIGHT, "--resume")[0] == 0
    assert sorted(server.rendered.values()) == [1] * 7 + [2]
    assert [job["state"] for job in records()] == ["done"] * 8


def test_a_picture_deleted_while_its_jobs_run(folder, server):
    server.allowed = 3
    end = start(server, *EIGHT)
    until_held(server, 3)
    os.remove("a.png")
    os.remove("b.png")
    server.restart()
    server.allowed = None
    code, _, err = end()
    assert code == 0, err
    assert_whole(server)


def test_a_picture_that_was_deleted_is_missed_only_where_it_is_needed(folder, server):
    Path("x.odd").write_bytes(Path("a.png").read_bytes())
    words = ["--image", "x.odd", "--image", "b.png", "--seeds", "1-2"]
    server.fails_on = {2}
    assert call(server, *words)[0] == 1
    os.remove("x.odd")
    code, out, err = call(server, *words, "--resume")
    assert code == 2
    assert out.splitlines() == ["output/x_seed1.mp4", "output/b_seed1.mp4"]
    assert "The picture x.odd cannot be read: No such file or directory." in err
    Path("x.odd").write_bytes(Path("b.png").read_bytes())
    assert "is of a queue with another --image" in call(server, "--image", "x.odd", "--seeds", "1-2", "--resume")[2]
    picture(Path("x.odd.png"))
    os.rename("x.odd.png", "x.odd")
    server.fails_on = set()
    assert call(server, *words, "--resume")[0] == 0
    os.remove("x.odd")
    os.remove("b.png")
    os.remove("output/b_seed1.mp4")
    code, _, err = call(server, *words, "--resume")
    assert code == 0, err
    assert_whole(server, 4)


def test_a_picture_deleted_after_a_kill_is_not_missed_while_the_server_has_its_job(folder, server):
    server.allowed = 3
    process = client(server, *EIGHT)
    until_held(server, 3)
    process.kill()
    process.wait()
    os.remove("b.png")
    server.allowed = None
    code, _, err = call(server, *EIGHT, "--resume")
    assert code == 0, err
    assert_whole(server)


def test_a_deleted_result_is_fetched_again(folder, server):
    assert call(server, *EIGHT)[0] == 0
    os.remove("output/a_seed2.mp4")
    assert call(server, *EIGHT, "--resume")[0] == 0
    assert_whole(server)


def test_a_result_altered_at_equal_length_is_fetched_again_and_kept(folder, server):
    assert call(server, *EIGHT)[0] == 0
    clip = Path("output/a_seed2.mp4")
    altered = clip.read_bytes()[:-1] + b"!"
    clip.write_bytes(altered)
    code, out, err = call(server, *EIGHT, "--resume")
    assert code == 0, err
    assert "output/a_seed2_00001_.mp4" in out.splitlines()
    assert clip.read_bytes() == altered
    clip.unlink()
    assert_whole(server)


def test_ctrl_c_takes_the_jobs_back_and_says_how_to_go_on(folder, server):
    server.allowed = 3
    process = client(server, *EIGHT)
    until_held(server, 3)
    until(lambda: Path("output/a_seed2.mp4").exists())
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "clips out of the server's queue. To go on, give the same command with --resume." in err
    assert "Traceback" not in err
    assert "output/a_seed2.mp4" in out
    assert not server.waiting
    assert server.running is None
    server.allowed = None
    assert call(server, *EIGHT, "--resume")[0] == 0
    assert_whole(server)


def test_a_server_that_stays_away(folder, server):
    server.allowed = 0
    end = start(server, *EIGHT, "--patience", "0.2")
    until(lambda: len(server.prompts) == 8)
    server.away = True
    server.cut()
    code, _, err = end()
    assert code == 1
    assert f"The server at {server.url} has been away for 0.2 s (it answered 503). Start it again." in err
    assert "--resume" in err
    server.away = False
    server.allowed = None
    assert call(server, *EIGHT, "--resume")[0] == 0
    assert_whole(server)


# ---- what it says


def test_a_failed_job_is_named_and_tried_again(folder, server):
    server.fails_on = {3}
    code, out, err = call(server, *EIGHT)
    assert code == 1
    for stem in "ab":
        assert f'{stem}_seed3: node 8 "SVD Sampler (Euler)": Too bright.' in err
    assert len(out.splitlines()) == 6
    server.fails_on = set()
    assert call(server, *EIGHT, "--resume")[0] == 0
    assert_whole(server)


def test_a_job_taken_out_of_the_queue_by_someone_else(folder, server, monkeypatch):
    monkeypatch.setattr(session, "TIMING", Timing(pause=0.05, look_every=0.1))
    server.allowed = 0
    end = start(server, "--image", "a.png", "--seeds", "1-3")
    until(lambda: len(server.prompts) == 3 and server.running and len(server.waiting) == 2)
    server.delete([server.waiting[1][0]])
    server.interrupt(server.running[0])
    server.allowed = None
    code, _, err = end()
    assert code == 1
    assert "a_seed1: it was cancelled on the server" in err
    assert "a_seed3: it was taken out of the server's queue" in err
    assert Path("output/a_seed2.mp4").exists()


def test_a_refused_workflow_names_node_and_input_once_and_leaves_no_manifest(folder, server):
    server.refuses = True
    code, out, err = call(server, *EIGHT)
    assert (code, out) == (2, "")
    assert 'Node 8 "SVD Sampler (Euler)": frames: Too few (frames).' in err
    assert err.count('Node 8 "SVD Sampler (Euler)": Turn it.') == 1
    assert not Path("output/manifest.json").exists()


def test_nodes_that_the_server_does_not_have(folder, server):
    prompt = json.loads((WORKFLOWS / "api" / "quickstart.json").read_text())
    prompt["5"]["class_type"], prompt["11"]["class_type"] = "StableVideoBlend", "VHS_VideoCombine"
    Path("w.json").write_text(json.dumps(prompt))
    result = CliRunner().invoke(app, ["queue", "w.json", "--server", server.url], env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert '"StableVideoBlend", which the server does not have: install svd-nodes there' in result.stderr
    assert '"VHS_VideoCombine", which the server does not have: install its pack there' in result.stderr


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--server", "127.0.0.1:9"], 1, "No ComfyUI answers at http://127.0.0.1:9 ("),
        (["--server", "ftp://here"], 2, '"--server ftp://here" is no address, such as http://127.0.0.1:8188.'),
        (["--image", "none.png"], 2, "There is no picture at none.png: check the path."),
        (["--image", "text.png"], 2, "text.png cannot be read as a picture (it is of no kind"),
        (["--image", "half.png"], 2, "half.png cannot be read as a picture (image file is truncated)"),
        (["--image", "a.png", "--image", "twin.png"], 2, "a.png and twin.png hold the same picture"),
        (["--seeds", "4-1"], 2, "4-1 runs backwards; write 1-4."),
        (["--seeds", "1,2,1"], 2, "holds 1 twice"),
        (["--seeds", "one"], 2, "is not of the form 1-8 or 3,5,7."),
        (["--seeds", "1-999999999999"], 2, "more than 10,000 clips"),
        (["--seeds", "1-9999,10000-19999"], 2, "more than 10,000 clips"),
        (["--seeds", "9" * 5000], 2, '9...": a seed has 20 digits at most.'),
        (["--seeds", ""], 2, "is not of the form 1-8 or 3,5,7."),
        (["--set", "1.checkpoint=svd_xt.safetensors"], 2, 'has no checkpoint "svd_xt.safetensors": put it in models/'),
        (["--seeds", str(2**64)], 2, "but the most is 18446744073709551615"),
        (
            ["--image", "a.png", "--image-node", "9"],
            2,
            'No node called "9" loads a picture; use one of: 2 "Load Image"',
        ),
        (["--set", "Nobody.seed=1"], 2, 'no node is called "Nobody"'),
        (["--resume"], 2, "There is nothing to resume: output has no manifest.json"),
    ],
)
def test_bad_input(words, code, sentence, folder, server):
    Path("text.png").write_text("no picture")
    Path("half.png").write_bytes(Path("a.png").read_bytes()[:900])
    Path("twin.png").write_bytes(Path("a.png").read_bytes())
    found, out, err = call(server, *words)
    assert (found, out) == (code, ""), err
    assert sentence in err
    assert len(err.splitlines()) == 1
    assert not server.prompts
    assert not Path("output").exists()


@pytest.mark.parametrize("seconds", ["nan", "-1"])
def test_a_patience_that_is_none(seconds, folder, server):
    code, out, err = call(server, "--image", "a.png", "--patience", seconds)
    assert (code, out) == (2, "")
    assert "'--patience'" in err
    assert not server.prompts


def test_what_answers_is_no_editor(folder, server, monkeypatch):
    monkeypatch.setattr("stand_in.INFOS", {"hello": "world"})
    code, _, err = call(server, "--image", "a.png")
    assert code == 2
    assert f'What answers at {server.url} is no ComfyUI: it says "{{"hello": "world"}}"; give' in err


PAGE = (b"<html><style>b {}</style><body><h1>Out of\n luck</h1>" + b"x" * 999, 500)
ODD = {
    "an error": (PAGE, '500 to {}: "Out of luck xxx'),
    "a page": ((PAGE[0], 200), 'answered {} as no ComfyUI does: "Out of luck xxx'),
    "half an answer": (
        (b'{"queue_running": [', 200),
        """answered {} as no ComfyUI does: "{{"queue_running": [".""",
    ),
    "another answer": ((b"[1, 2]", 200), 'answered {} as no ComfyUI does: "[1, 2]".'),
    "nothing": ((b"", 200), "answered {} as no ComfyUI does: nothing."),
    "a login": ((b"", 401), "wants a login or forbids {}; ask whoever runs it ("),
}


def test_a_login_in_the_address_is_used_and_shown_nowhere(folder, server):
    server.login = "me:a@b"
    assert "wants a login" in call(server, "--image", "a.png")[2]
    address = server.url.replace("//", "//me:a%40b@")
    code, out, err = call(server, "--image", "a.png", "--server", address)
    assert code == 0, err
    assert "a%40b" not in out + err + Path("output/manifest.json").read_text()
    assert json.loads(Path("output/manifest.json").read_text())["server"] == server.url


@pytest.mark.parametrize("status", [200, 302, 400, 404, 500])
def test_a_server_that_sends_no_messages_is_asked_instead(status, folder, server):
    server.odd = {"ws": (PAGE[0], status)}
    code, _, err = call(server, *EIGHT)
    assert code == 0, err
    assert err.count(f"The server sends no messages (it answered {status} to /ws): it is asked now and then") == 1
    assert_whole(server)


@pytest.mark.parametrize("path", ["/upload/image", "/prompt", "/queue", "/history"])
@pytest.mark.parametrize("kind", ODD)
def test_an_odd_answer_is_told_and_the_queue_can_go_on(path, kind, folder, server):
    answer, sentence = ODD[kind]
    server.odd = {path.split("/")[1]: answer}
    code, _, err = call(server, *EIGHT)
    told = [re.sub("/history/[-0-9a-f]+", "/history", line) for line in err.splitlines() if line.startswith("failed")]
    assert (code, len(told)) == (1, 1), err
    assert sentence.format(path) in told[0]
    assert told[0].endswith("To go on, give the same command with --resume.") == Path("output/manifest.json").exists()
    assert len(told[0]) < 500
    server.odd = {}
    resume = ["--resume"] if Path("output").exists() else []
    code, _, err = call(server, *EIGHT, *resume)
    assert code == 0, err
    assert_whole(server)


@pytest.mark.parametrize(
    "status",
    [
        {"messages": [1]},
        [],
        {"messages": [["x", {"timestamp": 10**400}]]},
        {"completed": False, "messages": [["execution_error", {}]]},
    ],
)
def test_a_history_of_another_shape(status, folder, server, monkeypatch):
    monkeypatch.setattr(server, "_end", lambda job, *_: odd(job))

    def odd(job):
        server.history[job[0]] = {"status": status, "outputs": {"10": 3}}
        server.running = None

    monkeypatch.setattr(session, "TIMING", Timing(pause=0.05, look_every=0.1))
    code, _, err = call(server, "--image", "a.png")
    assert code == 1
    assert re.search("answered /history/[-0-9a-f]+ as no ComfyUI does", err)


def test_messages_of_another_shape_are_passed_over(folder, server, monkeypatch):
    tell = server.tell

    def babble(client, kind, data):
        for strange in ({"value": "x", "max": None}, {"node": [3]}):
            tell(client, kind, {**data, **strange})
        for text in (b"5", b"{", b"[]", b'{"type": "x", "data": 3}'):
            server._sockets[client].sendall(bytes([0x81, len(text)]) + text)
        tell(client, kind, data)

    monkeypatch.setattr(server, "tell", babble)
    code, _, err = call(server, *EIGHT)
    assert code == 0, err
    assert_whole(server)


def test_a_folder_that_was_there_stays_and_keeps_nothing_of_ours(folder, server):
    Path("output/mine").mkdir(parents=True)
    assert call(server, "--resume")[0] == 2
    assert os.listdir("output") == ["mine"]
    assert call(server, "--output", "new/and/new", "--resume")[0] == 2
    assert not Path("new").exists()


def test_another_queue_in_the_same_folder(folder, server):
    server.allowed = 0
    end = start(server, "--image", "a.png")
    until(lambda: server.prompts)
    code, _, err = call(server, "--image", "a.png", "--resume")
    server.allowed = None
    assert end()[0] == 0
    assert code == 2
    assert "Another svd-nodes queue is at work in output" in err
    assert call(server, "--image", "a.png")[0] == 2  # one after the other, and not told to resume
    assert sum(server.rendered.values()) == 1


def test_a_manifest_of_other_work(folder, server):
    assert call(server, "--image", "a.png")[0] == 0
    code, _, err = call(server, "--image", "a.png", "--resume", "--set", "StableVideoSample.steps=3")
    assert code == 2
    assert "output/manifest.json is of a queue with another --set; give its own command with --resume" in err
    for words, what in (
        (["--image", "a.png", "--seeds", "1-2"], "another --seeds;"),
        (["--image", "b.png"], "another --image;"),
        (["--image", "a.png", "--image", "b.png"], "another --image;"),
        (["--seeds", "7"], "another --seeds and another --image;"),
        (["--set", "2.image=a.png"], "another --set and another --image;"),
    ):
        code, out, err = call(server, *words, "--resume")
        assert (code, out) == (2, "")
        assert f"is of a queue with {what}" in err
    prompt = json.loads((WORKFLOWS / "api" / "quickstart.json").read_text())
    prompt["8"]["inputs"]["steps"] = 3
    Path("quickstart").write_text(json.dumps(prompt))
    assert "is of a queue with another workflow;" in call(server, "--image", "a.png", "--resume")[2]
    assert sum(server.rendered.values()) == 1
    Path("output/manifest.json").write_text("[]")
    assert "is no manifest of svd-nodes" in call(server, "--image", "a.png", "--resume")[2]


NO_MANIFEST = {
    "a state of no kind": ({"state": "dnoe"}, "the state of a is 'dnoe'"),
    "a file without a name": ({"files": [{"file": None}]}, "file of a file is None"),
    "a file elsewhere": ({"files": [{"file": "../a.mp4"}]}, "a has a file called '../a.mp4'"),
    "no files": ({"files": []}, "a is done without a file"),
    "a file of no size": ({"files": [{"bytes": True}]}, "bytes of a file is True"),
    "queued without an id": ({"state": "queued", "prompt_id": None}, "a is queued without an id"),
    "a name that is none": ({"name": 5}, "name of a job is 5"),
    "an unknown field": ({"hue": 5}, "hue"),
}


@pytest.mark.parametrize("kind", NO_MANIFEST)
def test_a_damaged_job_in_a_manifest(kind, folder, server):
    change, what = NO_MANIFEST[kind]
    assert call(server, "--image", "a.png")[0] == 0
    book = json.loads(Path("output/manifest.json").read_text())
    (job,) = book["jobs"]
    files = [job["files"][0] | file for file in change.get("files", job["files"])]
    book["jobs"] = [job | change | {"files": files}]
    assert_no_manifest(server, json.dumps(book), what)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"asked": None}, "asked of manifest is None"),
        ({"asked": {}}, "asked has no settings or no seeds"),
        ({"client_id": None}, "client_id of manifest is None"),
        ({"jobs": 3}, ""),
        ({"jobs": [3]}, ""),
        ({"path": "x"}, ""),
    ],
)
def test_a_damaged_manifest(change, what, folder, server):
    assert call(server, "--image", "a.png")[0] == 0
    book = json.loads(Path("output/manifest.json").read_text())
    assert_no_manifest(server, json.dumps(book | change), what)
    twice = json.dumps(book | {"jobs": book["jobs"] * 2})
    assert_no_manifest(server, twice, "two jobs have one name")


@pytest.mark.parametrize("text", ["", "[]", "{}", "[" * 200_000, "9" * 5000, "\0", '{"manifest": 1}'])
def test_what_is_no_manifest(text, folder, server):
    Path("output").mkdir()
    assert_no_manifest(server, text, "")


def test_a_folder_in_the_manifests_place(folder, server):
    Path("output/manifest.json").mkdir(parents=True)
    code, out, err = call(server, "--image", "a.png", "--resume")
    assert (code, out) == (2, "")
    assert "output/manifest.json is no manifest of svd-nodes (it is a folder); choose another --output." in err


def test_a_manifest_with_another_pictures_hash(folder, server):
    assert call(server, "--image", "a.png")[0] == 0
    book = json.loads(Path("output/manifest.json").read_text())
    book["jobs"][0] |= {"picture_sha256": "0" * 64, "state": "waiting", "prompt_id": None}
    Path("output/manifest.json").write_text(json.dumps(book))
    code, out, err = call(server, "--image", "a.png", "--resume")
    assert (code, out) == (2, "")
    assert "is of a queue with another --image" in err


def assert_no_manifest(server, text, what):
    Path("output/manifest.json").write_text(text)
    code, out, err = call(server, "--image", "a.png", "--resume")
    assert (code, out) == (2, "")
    assert "manifest.json is no manifest of svd-nodes (" in err
    assert what in err
    assert len(err.splitlines()) == 1
    assert len(err) < 300
    assert sum(server.rendered.values()) <= 1


def test_a_full_disk(folder, server, monkeypatch):
    with monkeypatch.context() as patch:

        def download(self, file, write):
            raise OSError(errno.ENOSPC, "No space left on device")

        patch.setattr(EditorServer, "download", download)
        code, _, err = call(server, *EIGHT)
    assert code == 1
    assert "the disk is full; free some space or choose another folder" in err
    assert "To go on, give the same command with --resume." in err
    assert call(server, *EIGHT, "--resume")[0] == 0
    assert_whole(server)


def test_a_page_in_a_films_place_is_no_result(folder, server):
    server.odd = {"view": (b"<html>Log in</html>", 200)}
    code, out, err = call(server, "--image", "a.png")
    assert (code, out) == (1, "")
    assert "is a web page. To go on, give the same command with --resume." in err
    assert not Path("output/a.mp4").exists()
    server.odd = {}
    assert call(server, "--image", "a.png", "--resume")[0] == 0
    assert_whole(server, 1)


@pytest.mark.parametrize(
    ("data", "what"), [(b"", "empty"), (film("x")[:-1], "no whole film"), (b"RIFF", "no whole film")]
)
def test_a_broken_film_fails_its_own_job_and_is_made_again(data, what, folder, server, monkeypatch):
    def broken(self, file, write):
        sent = data if "a_seed1" in file["filename"] else server.files[f"{file['subfolder']}/{file['filename']}"]
        write(sent)
        return hashlib.sha256(sent).hexdigest()

    with monkeypatch.context() as patch:
        patch.setattr(EditorServer, "download", broken)
        code, out, err = call(server, "--image", "a.png", "--seeds", "1-2")
    assert (code, out) == (1, "output/a_seed2.mp4\n")
    assert re.search(rf"a_seed1: the server's file \S+ is {what}; with --resume it is made again", err)
    assert call(server, "--image", "a.png", "--seeds", "1-2", "--resume")[0] == 0
    assert [job["state"] for job in records()] == ["done"] * 2
    assert is_whole(Path("output/a_seed1.mp4"))


def test_a_page_that_an_older_client_took_for_a_film_is_fetched_again(folder, server):
    assert call(server, "--image", "a.png")[0] == 0
    page, book = b"<html>Log in</html>", json.loads(Path("output/manifest.json").read_text())
    Path("output/a.mp4").write_bytes(page)
    book["jobs"][0]["files"][0] |= {"bytes": len(page), "sha256": hashlib.sha256(page).hexdigest()}
    Path("output/manifest.json").write_text(json.dumps(book))
    code, out, err = call(server, "--image", "a.png", "--resume")
    assert code == 0, err
    assert is_whole(Path(out.strip()))
    assert set(server.rendered.values()) == {1}


@pytest.mark.parametrize("name", [5, None, "", "a.mp4\0", "\x1b[2Ja.mp4", "a." + "b" * 400, "a" * 99999 + ".mp4"])
def test_what_names_no_file_is_no_result(name, folder, server, monkeypatch):
    monkeypatch.setattr(server, "_save", lambda node: [{"filename": name, "subfolder": "", "type": "output"}])
    code, out, err = call(server, "--image", "a.png")
    assert (code, out) == (1, "")
    assert 'a: Node 11 "Save Video" kept nothing, and the server does not say why.' in err


@pytest.mark.parametrize(
    "where", [{"subfolder": "a\0b"}, {"subfolder": "\ud800"}, {"type": "\ud800"}, {"subfolder": "a" * 99999}]
)
def test_what_is_in_no_folder_is_no_result(where, folder, server, monkeypatch):
    item = {"filename": "a.mp4", "subfolder": "", "type": "output"} | where
    monkeypatch.setattr(server, "_save", lambda node: [item])
    code, out, err = call(server, "--image", "a.png")
    assert (code, out) == (1, "")
    assert 'a: Node 11 "Save Video" kept nothing, and the server does not say why.' in err


def test_a_nodes_words_do_not_steer_the_terminal(folder, server, monkeypatch):
    end, words = server._end, "Too \x1b[2J\0bright:\rä\nor dark."
    monkeypatch.setattr(server, "_end", lambda job, kind, data, *_: end(job, kind, data | {"exception_message": words}))
    server.fails_on = {1}
    code, _, err = call(server, "--image", "a.png", "--seeds", "1")
    assert code == 1
    assert 'a_seed1: node 8 "SVD Sampler (Euler)": Too [2Jbright:ä\n' in err
    assert "or dark." in err


@pytest.mark.parametrize(("stamp", "seconds"), [(float("nan"), None), (float("inf"), None), (1e12, 0.0)])
def test_odd_times_in_a_history(stamp, seconds, folder, server, monkeypatch):
    end = server._end

    def at_odd_times(job, *more):
        end(job, *more)
        for message in server.history[job[0]]["status"]["messages"]:
            message[1]["timestamp"] = stamp

    monkeypatch.setattr(server, "_end", at_odd_times)
    monkeypatch.setattr(server, "tell", lambda *_: None)
    monkeypatch.setattr(session, "TIMING", Timing(pause=0.05, look_every=0.1))
    code, _, err = call(server, "--image", "a.png")
    assert code == 0, err
    assert records()[0]["seconds"] == seconds


@pytest.mark.parametrize("path", ["object_info", "upload", "prompt", "queue", "history"])
def test_an_answer_too_deep_to_read_gets_a_sentence(path, folder, server):
    server.odd = {path: (b"[" * 200_000, 200)}
    code, out, err = call(server, "--image", "a.png")
    assert (code, out) == (2 if path == "object_info" else 1, "")
    assert "no ComfyUI" in err
    assert '"[[[[' in err


def test_a_way_on_is_told_only_where_something_was_begun(folder, server, monkeypatch):
    server.odd = {"upload": (b"", 302)}
    code, _, err = call(server, "--image", "a.png", "--patience", "0.1")
    assert code == 1
    assert "--resume" not in err
    assert sorted(os.listdir()) == ["a.png", "b.png"]


def test_a_pipe_is_not_waited_for(folder, server):
    os.mkfifo("pipe.png")
    assert call(server, "--image", "pipe.png")[0::2] == (
        2,
        "bad input  pipe.png is a pipe or a device: save the picture to a file first.\n",
    )


# ---- the plain Python in docs/queue.md


def page_lines(server_url):
    """The page's plain Python for a server, with workflow and pictures as they are here."""
    page = (ROOT / "docs" / "queue.md").read_text()
    lines = page.partition("```python\n")[2].partition("```")[0]
    assert "http://127.0.0.1:8188" in lines
    return lines.replace("http://127.0.0.1:8188", server_url).replace("workflows/api", str(WORKFLOWS / "api"))


def test_the_pages_lines_do_the_same(folder, server):
    lines = page_lines(server.url).replace("range(1, 9)", "range(1, 3)").replace("sleep(1)", "sleep(0.01)")
    subprocess.run([sys.executable, "-I", "-c", lines], check=True, timeout=120)
    assert set(os.listdir()) == {"a.png", "b.png", *(f"{stem}_seed{seed}.mp4" for stem in "ab" for seed in (1, 2))}
    assert set(server.rendered.values()) == {1}
    assert is_whole(Path("a_seed1.mp4"))
    assert {Path(name).name for name in server.uploads} == {"a.png", "b.png"}
    assert server.uploads["a.png"] == Path("a.png").read_bytes()


def test_the_pages_lines_tell_of_a_failure(folder, server):
    server.fails_on = {2}
    lines = page_lines(server.url).replace("sleep(1)", "sleep(0.01)")
    done = subprocess.run([sys.executable, "-I", "-c", lines], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert done.stderr.startswith("a.png with seed 2: ['execution_error'")
    assert "Too bright." in done.stderr
    assert set(os.listdir()) == {"a.png", "b.png", "a_seed1.mp4"}


# ---- its parts


def test_seeds():
    assert read_seeds("1-3, 9") == [1, 2, 3, 9]
    assert read_seeds(str(2**64 - 1)) == [2**64 - 1]
    with pytest.raises(InputError):
        read_seeds("1-")


def kept(folder, data):
    path = folder / "x"
    path.write_bytes(data)
    return path


def test_whole_films(tmp_path):
    whole = film("x" * 100)
    assert is_whole(kept(tmp_path, whole))
    assert not any(is_whole(kept(tmp_path, whole[:length])) for length in range(len(whole)))
    webp = b"RIFF" + (8).to_bytes(4, "little") + b"WEBPabcd"
    assert is_whole(kept(tmp_path, webp))
    assert not any(is_whole(kept(tmp_path, webp[:length])) for length in range(len(webp)))
    large = struct.pack(">I4sQ", 1, b"mdat", 17) + b"x"
    assert is_whole(kept(tmp_path, struct.pack(">I4s", 8, b"ftyp") + large + struct.pack(">I4s", 8, b"moov")))
    assert not is_whole(kept(tmp_path, struct.pack(">I4sQ", 1, b"mdat", 1 << 63)))
    assert not is_whole(kept(tmp_path, struct.pack(">I4s", 8, b"free") * 200_000))


def test_what_is_wrong_with_a_file(tmp_path):
    def found(data, name):
        return fault(kept(tmp_path, data), name)

    assert found(b"", ".json") == "empty"
    assert found(b" <!DOCTYPE html>", ".flac") == "a web page"
    assert found(b"\xef\xbb\xbf<HTML>", ".html") == "a web page"
    assert found(drawn("x"), ".PNG") is None
    for end in (1, 12, 30, 60):
        assert found(drawn("x")[:-end], ".png") == "no whole picture"
    assert found(b"\x89PNG\r\n\x1a\n" + b"\xff" * 99, ".mp4") == "no whole picture"
    moving = io.BytesIO()
    Image.new("P", (9, 9)).save(moving, "gif", save_all=True, append_images=[Image.new("P", (9, 9), n) for n in (1, 2)])
    assert found(moving.getvalue(), ".gif") is None
    assert found(moving.getvalue()[:-9], ".gif") == "no whole picture"
    assert found(b"{}", ".json") is None
    assert found(b"{}", ".webm") == "no whole film"
    assert found(b"{}", ".jpg") == "no whole picture"


WEBP = b"RIFF" + (8).to_bytes(4, "little") + b"WEBPabcd"
MOV = film("x").replace(b"isom", b"qt  ")


@pytest.mark.parametrize(
    ("data", "told", "ours"),
    [
        (film("x"), ".exe", ".mp4"),
        (film("x"), ".html", ".mp4"),
        (film("x"), "", ".mp4"),
        (film("x"), ".M4V", ".m4v"),
        (MOV, ".mp4", ".mov"),
        (WEBP, ".png", ".webp"),
        (drawn("x"), ".svg", ".png"),
        (drawn("x"), ".apng", ".apng"),
        (b"\xff\xd8\xff\xe0", ".jpeg", ".jpeg"),
        (b"\x1aE\xdf\xa3", ".mkv", ".mkv"),
        (b"\x1aE\xdf\xa3", ".lnk", ".webm"),
        (b"MZ\x90", ".exe", ".bin"),
        (b"#!/bin/sh", ".sh", ".bin"),
        (b"[autorun]", ".inf", ".bin"),
        (b"{}", ".json", ".json"),
        (b"\0\0", ".safetensors", ".safetensors"),
    ],
)
def test_a_files_ending_is_that_of_what_it_holds(data, told, ours, tmp_path):
    assert ending(kept(tmp_path, data), told) == ours
