"""Starts a real ComfyUI beside the tests: its own checkout and interpreter, everything else in a temporary folder."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
NOT_THE_PACK = shutil.ignore_patterns(
    ".*", "tests", "bench", "training", "checkpoints", "demo", "build", "__pycache__", "node_modules"
)
DYNAMIC_VRAM = Path(__file__).parent / "inside" / "dynamic_vram.py"
ANSWER = Path(__file__).parent / "inside" / "answer.py"


@dataclass(frozen=True)
class Checkout:
    """A ComfyUI on the disk. named: the Python that is to run it; None: one in or beside the folder."""

    path: Path
    named: Path | None = None

    @property
    def version(self) -> str:
        file = self.path / "comfyui_version.py"
        found = re.search(r'__version__ = "(.+)"', file.read_text()) if file.is_file() else None
        return found[1] if found else self.path.name

    @property
    def python(self) -> Path | None:
        """The Python that runs it: the named one, or that of the virtual environment in it or beside it."""
        places = [self.path / "venv", self.path / ".venv", self.path.parent / "venv"]
        candidates = [self.named] if self.named else [place / "bin" / "python" for place in places]
        return next((python for python in candidates if python.exists()), None)

    @property
    def why_not(self) -> str:
        """Why tests cannot run in it, or nothing."""
        if not (self.path / "main.py").is_file():
            return f"no ComfyUI at {self.path}: set COMFYUI_PATH to a checkout"
        if self.python is None:
            return f"no Python environment in or beside {self.path}: set COMFYUI_PYTHON"
        return ""

    @property
    def frontend(self) -> str:
        """The version of the front end that it asks for, or nothing."""
        found = re.search(r"comfyui-frontend-package==(\S+)", (self.path / "requirements.txt").read_text())
        return found[1] if found else ""

    @property
    def has_dynamic_vram(self) -> bool:
        """Whether this version can leave layers empty until their weights are loaded."""
        memory = self.path / "comfy" / "memory_management.py"
        return memory.is_file() and "aimdo_enabled" in memory.read_text()

    def environment(self) -> dict[str, str]:
        """The variables of a process of this checkout: ours, with its modules in place of ours."""
        ours = {name: value for name, value in os.environ.items() if name != "PYTHONHOME"}
        return ours | {"PYTHONPATH": str(self.path)}


def checkouts() -> list[Checkout]:
    """Those that $COMFYUI_PATH lists, else comfy-cli's; whether they are there or not.

    $COMFYUI_PYTHON names one Python for all of them, or as many as there are checkouts.
    """
    paths = _listed("COMFYUI_PATH") or [Path.home() / "comfy" / "ComfyUI"]
    pythons = _listed("COMFYUI_PYTHON") or [None]
    if len(pythons) == 1:
        pythons *= len(paths)
    if len(pythons) != len(paths):
        raise ValueError(
            f"COMFYUI_PYTHON lists {len(pythons)} and COMFYUI_PATH {len(paths)}: give one, or one for each."
        )
    return [Checkout(path, python) for path, python in zip(paths, pythons, strict=True)]


def _listed(variable: str) -> list[Path]:
    return [Path(part) for part in os.environ.get(variable, "").split(os.pathsep) if part]


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
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=120) as reply:
            return reply.read().decode()

    def get(self, path: str) -> Any:
        return json.loads(self.text(path))

    def post(self, path: str, body: dict[str, Any]) -> Any:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", json.dumps(body).encode())
        try:
            with urllib.request.urlopen(request, timeout=120) as reply:
                text = reply.read()
        except urllib.error.HTTPError as error:
            raise Refused(json.load(error)) from None
        return json.loads(text) if text else None

    def queue(self, prompt: dict[str, Any], client: str = "tests") -> str:
        return self.post("/prompt", {"prompt": prompt, "client_id": client})["prompt_id"]

    def wait(self, prompt_id: str, seconds: float = 600) -> dict[str, Any]:
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


def install(base: Path) -> None:
    """A base folder for the editor, with this repository as its only pack."""
    shutil.copytree(REPOSITORY, base / "custom_nodes" / "svd-nodes", ignore=NOT_THE_PACK)
    for folder in ("input", "output", "models/checkpoints", "models/diffusers", "user"):
        (base / folder).mkdir(parents=True)


def inside(checkout: Checkout, base: Path, question: str, dynamic_vram: bool = False) -> Any:
    """What inside/answer.py answers, in a process of the checkout's own."""
    answer = base / f"{question}.json"
    asked = json.dumps({"question": question, "dynamic_vram": dynamic_vram, "answer": str(answer)})
    command = [str(checkout.python), str(ANSWER), "--cpu", "--base-directory", str(base)]
    place = {"cwd": checkout.path, "env": checkout.environment()}
    done = subprocess.run(command, **place, input=asked, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{question}: {done.stdout[-2000:]}\n{done.stderr[-3000:]}")
    return json.loads(answer.read_text())


@contextmanager
def running_server(
    checkout: Checkout, base: Path, *options: str, port: int = 0, dynamic_vram: bool = False
) -> Iterator[Server]:
    """A server with this repository as its only pack; `base` holds its models, input and output.

    The pack is a copy without checkpoints, as on a fresh install, whatever `make demo` has left in the repository.
    A `base` that is there is used as it is: a server started in it again has its files, and no queue and no history.
    port: 0 for a free one. dynamic_vram: whether layers stay empty until their weights are loaded, as on most cards.
    """
    if not base.exists():
        install(base)
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", port))
        port = free.getsockname()[1]
    command = [str(checkout.python), str(DYNAMIC_VRAM) if dynamic_vram else "main.py"]
    command += ["--cpu", "--listen", "127.0.0.1", "--port", str(port), "--base-directory", str(base)]
    command += ["--database-url", "sqlite:///:memory:", "--disable-api-nodes", *options]
    with open(base / "server.log", "ab") as log:
        process = subprocess.Popen(command, cwd=checkout.path, env=checkout.environment(), stdout=log, stderr=log)
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
    for _ in range(3000):
        if process.poll() is not None:
            break
        try:
            server.get("/queue")
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"ComfyUI did not start:\n{server.log[-3000:]}")
