"""Starts a real ComfyUI beside the tests: its own checkout and interpreter, everything else in a temporary folder."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
NOT_THE_PACK = shutil.ignore_patterns(
    ".*", "tests", "bench", "training", "checkpoints", "demo", "build", "__pycache__", "node_modules"
)
CHECKOUT = Path(os.environ.get("COMFYUI_PATH", Path.home() / "comfy" / "ComfyUI"))


def interpreter() -> Path | None:
    """The Python that runs the checkout: $COMFYUI_PYTHON, or the virtual environment in it or beside it."""
    places = [CHECKOUT / "venv", CHECKOUT / ".venv", CHECKOUT.parent / "venv"]
    named = os.environ.get("COMFYUI_PYTHON")
    candidates = [Path(named)] if named else [place / "bin" / "python" for place in places]
    return next((python for python in candidates if python.exists()), None)


def why_not() -> str:
    """Why these tests cannot run here, or nothing."""
    if not (CHECKOUT / "main.py").is_file():
        return f"no ComfyUI at {CHECKOUT}: set COMFYUI_PATH to a checkout"
    if interpreter() is None:
        return f"no Python environment in or beside {CHECKOUT}: set COMFYUI_PYTHON"
    return ""


class Refused(Exception):
    """The server's 400; `reply` is its JSON."""

    def __init__(self, reply: dict[str, Any]) -> None:
        super().__init__(json.dumps(reply)[:500])
        self.reply = reply


class Server:
    """A running ComfyUI and the folder it works in."""

    def __init__(self, base: Path, port: int, pid: int) -> None:
        self.base = base
        self.port = port
        self.pid = pid

    @property
    def log(self) -> str:
        return (self.base / "server.log").read_text(errors="replace")

    def text(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as reply:
            return reply.read().decode()

    def get(self, path: str) -> Any:
        return json.loads(self.text(path))

    def post(self, path: str, body: dict[str, Any]) -> Any:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", json.dumps(body).encode())
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                text = reply.read()
        except urllib.error.HTTPError as error:
            raise Refused(json.load(error)) from None
        return json.loads(text) if text else None

    def queue(self, prompt: dict[str, Any], client: str = "tests") -> str:
        return self.post("/prompt", {"prompt": prompt, "client_id": client})["prompt_id"]

    def wait(self, prompt_id: str, seconds: float = 60) -> dict[str, Any]:
        """The history of a prompt once it is over."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if history := self.get(f"/history/{prompt_id}"):
                return history[prompt_id]
            time.sleep(0.05)
        raise TimeoutError(self.log[-3000:])

    def run(self, prompt: dict[str, Any]) -> dict[str, Any]:
        """Runs a prompt to its good end and returns its history."""
        history = self.wait(self.queue(prompt))
        assert history["status"]["status_str"] == "success", history["status"]
        return history

    def forget(self) -> None:
        """Drops all cached results, so that the next run computes everything."""
        self.post("/free", {"unload_models": True, "free_memory": True})
        time.sleep(0.2)

    def files(self, history: dict[str, Any]) -> list[Path]:
        """The files a run has written, in order."""
        items = [item for output in history["outputs"].values() for item in output.get("images", [])]
        return [self.base / item["type"] / item["subfolder"] / item["filename"] for item in items]


@contextmanager
def running_server(base: Path, *options: str, port: int = 0) -> Iterator[Server]:
    """A server with this repository as its only pack; `base` holds its models, input and output.

    The pack is a copy without checkpoints, as on a fresh install, whatever `make demo` has left in the repository.
    A `base` that is there is used as it is: a server started in it again has its files, and no queue and no history.
    port: 0 for a free one.
    """
    if not base.exists():
        shutil.copytree(REPOSITORY, base / "custom_nodes" / "svd-nodes", ignore=NOT_THE_PACK)
        for folder in ("input", "output", "models/checkpoints", "models/diffusers", "user"):
            (base / folder).mkdir(parents=True)
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", port))
        port = free.getsockname()[1]
    command = [str(interpreter()), "main.py", "--cpu", "--listen", "127.0.0.1", "--port", str(port)]
    command += ["--base-directory", str(base), "--database-url", "sqlite:///:memory:", "--disable-api-nodes", *options]
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    with open(base / "server.log", "ab") as log:
        process = subprocess.Popen(command, cwd=CHECKOUT, env=environment, stdout=log, stderr=log)
    server = Server(base, port, process.pid)
    try:
        _wait_until_up(server, process)
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_up(server: Server, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        if process.poll() is not None:
            break
        try:
            server.get("/queue")
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"ComfyUI did not start:\n{server.log[-3000:]}")
