"""A running editor, asked over HTTP: its nodes, its queue, its memory of what it has done, its files."""

import hashlib
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from ...svd.errors import InputError
from .outcome import Outcome

FOLDER = "svd-queue"  # of the server's input and output folders, for all that comes from here
BUSY = (502, 503, 504)  # a proxy whose server is away
OTHER_SHAPE = (
    AttributeError,
    IndexError,
    KeyError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
)  # of looking into JSON that is not as hoped
SHOWN = 200  # characters of an answer nobody expected


class Unreachable(Exception):
    """The server did not answer, or broke off: worth trying again."""


class Refused(Exception):
    """The server will not run this workflow; one sentence a line."""


class Strange(Exception):
    """The server answered as the editor does not; one sentence that says what."""


class EditorServer:
    """The part of the editor's HTTP interface that a queue needs. Every call may raise `Unreachable` and `Strange`."""

    @property
    def url(self) -> str:
        """The address to be shown and written down: without the login that it may hold."""
        return re.sub("//[^/]*@", "//", self.address)

    def __init__(self, url: str, timeout: float = 60) -> None:
        self.address = _checked_url(url)
        self._http = httpx.Client(base_url=self.address, timeout=httpx.Timeout(timeout, connect=5))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def object_info(self) -> dict[str, Any]:
        """What its nodes say about themselves. InputError if something else answers at this address."""
        reply = self._ask("GET", "/object_info", fine=(200, 404, 405))
        try:
            infos = reply.json()
        except (ValueError, RecursionError):
            infos = None
        if not isinstance(infos, dict) or "LoadImage" not in infos:
            what = f"What answers at {self.url} is no ComfyUI: it says {_excerpt(reply)}"
            raise InputError(f"{what}; give the address that the editor's window has.")
        return infos

    def upload(self, path: Path, data: bytes, name: str) -> None:
        """Puts a picture, and `data` is what it holds, into its input folder. The same again changes nothing there."""
        form = {"subfolder": FOLDER, "type": "input"}
        reply = self._ask("POST", "/upload/image", (200, 413), files={"image": (name, data)}, data=form)
        if reply.status_code == 413:
            raise InputError(f"The picture {path} is too large for the server; make it smaller.")
        with self._read(reply, "/upload/image"):
            there = reply.json().get("name")
        if there != name:
            raise InputError(f"The server has another picture called {FOLDER}/{name}; rename {path}.")

    def queue(self, prompt: Mapping[str, Any], prompt_id: str, client_id: str) -> None:
        """Hands a workflow over, under an id chosen here. Refused: the server's faults of it."""
        body = {"prompt": prompt, "prompt_id": prompt_id, "client_id": client_id}
        reply = self._ask("POST", "/prompt", (200, 400), json=body)
        with self._read(reply, "/prompt"):
            answer = reply.json()
            faults = dict.fromkeys(_refusals(answer, prompt)) if reply.status_code == 400 else {}
            known_by = prompt_id if faults else answer["prompt_id"]
        if faults:
            raise Refused("\n".join(faults))
        if known_by != prompt_id:
            raise Strange(f"The server at {self.url} gives jobs ids of its own: it needs ComfyUI 0.3.64 or newer.")

    def in_queue(self) -> set[str]:
        """The ids of all that waits or runs there."""
        return self._queued("queue_running", "queue_pending")

    def outcome(self, prompt_id: str) -> Outcome | None:
        """What became of a workflow that is over; None if it is not, or if the server does not remember it."""
        path = f"/history/{prompt_id}"
        reply = self._ask("GET", path)
        with self._read(reply, path):
            history = reply.json().get(prompt_id)
            return None if history is None else Outcome.read(history)

    def cancel(self, prompt_ids: Iterable[str]) -> None:
        """Takes workflows out of its queue, and stops the one of them that runs."""
        ids = list(prompt_ids)
        self._ask("POST", "/queue", json={"delete": ids})
        for id in self._queued("queue_running") & set(ids):
            self._ask("POST", "/interrupt", json={"prompt_id": id})

    def download(self, file: Mapping[str, str], write: Callable[[bytes], object]) -> str | None:
        """Passes a file's bytes to `write`. Returns their SHA-256, or None if the server has no such file."""
        digest = hashlib.sha256()
        asked = {name: file.get(name, "") for name in ("filename", "subfolder", "type")}
        try:
            with self._http.stream("GET", "view", params=asked) as reply:
                if self._checked(reply, "/view", (200, 404)).status_code == 404:
                    return None
                for chunk in reply.iter_bytes():
                    digest.update(chunk)
                    write(chunk)
        except httpx.RequestError as error:
            raise Unreachable(str(error)) from error
        return digest.hexdigest()

    def _queued(self, *parts: str) -> set[str]:
        """From one answer, so that no job is missed that goes from part to part."""
        reply = self._ask("GET", "/queue")
        with self._read(reply, "/queue"):
            queue = reply.json()
            return {str(item[1]) for part in parts for item in queue[part]}

    @contextmanager
    def _read(self, reply: httpx.Response, path: str) -> Iterator[None]:
        """For looking into an answer: one of another shape than the editor's is told as it came."""
        try:
            yield
        except OTHER_SHAPE:
            raise Strange(f"The server at {self.url} answered {path} as no ComfyUI does: {_excerpt(reply)}.") from None

    def _ask(self, method: str, path: str, fine: Container[int] = (200,), **more: Any) -> httpx.Response:
        try:
            reply = self._http.request(method, path.lstrip("/"), **more)
        except httpx.RequestError as error:
            raise Unreachable(str(error)) from error
        return self._checked(reply, path, fine)

    def _checked(self, reply: httpx.Response, path: str, fine: Container[int]) -> httpx.Response:
        if reply.status_code in BUSY:
            raise Unreachable(f"it answered {reply.status_code}")
        if reply.status_code in (401, 403):
            raise Strange(f"The server at {self.url} wants a login or forbids {path}; ask whoever runs it.")
        if reply.status_code not in fine:
            reply.read()
            what = f"{reply.status_code} to {path}: {_excerpt(reply)}"
            raise Strange(f"The server at {self.url} answered {what}; its log may say why.")
        return reply


def _checked_url(text: str) -> str:
    url = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        sound = False
    if not sound:
        raise InputError(f'"--server {text}" is no address, such as http://127.0.0.1:8188.')
    return f"{parts.scheme}{url[len(parts.scheme) :]}".rstrip("/")  # urlsplit gives it in lower case


def _excerpt(reply: httpx.Response) -> str:
    """The beginning of an answer's words, on one line and without the marks of a web page."""
    page = re.sub(r"(?is)<(script|style)\b.*?(</\1>|$)|<[^>]*>", " ", reply.text)
    text = " ".join("".join(c if c.isprintable() else " " for c in page).split())
    return f'"{text[:SHOWN]}{" ..." * (len(text) > SHOWN)}"' if text else "nothing"


def _refusals(reply: Mapping[str, Any], prompt: Mapping[str, Any]) -> Iterable[str]:
    """The server's 400 as sentences that name node and input."""
    for id, fault in reply.get("node_errors", {}).items():
        title = prompt.get(id, {}).get("_meta", {}).get("title") or fault.get("class_type", "?")
        for error in fault.get("errors", []):
            yield f'Node {id} "{title}": {_told(error)}'
    if not reply.get("node_errors"):
        error = reply.get("error", {})
        told = error if isinstance(error, str) else " ".join(filter(None, (error.get("message"), error.get("details"))))
        yield f"The server refused the workflow: {told}."


def _told(error: Mapping[str, Any]) -> str:
    """One fault of a node. What the node says itself needs no more words; what the server says needs the input."""
    name, details = (error.get("extra_info") or {}).get("input_name"), str(error.get("details", ""))
    if error.get("type") == "custom_validation_failed":
        return details.removeprefix(f"{name} - ")
    return f"{f'{name}: ' if name else ''}{error.get('message', '')} ({details})."
