"""A running editor, asked over HTTP: its nodes, its queue, its memory of what it has done, its files."""

import hashlib
from collections.abc import Callable, Container, Iterable, Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from ...svd.errors import InputError

FOLDER = "svd-queue"  # of the server's input and output folders, for all that comes from here
BUSY = (502, 503, 504)  # a proxy whose server is away


class Unreachable(Exception):
    """The server did not answer, or broke off: worth trying again."""


class Refused(Exception):
    """The server will not do what it was asked; one sentence a line."""


class EditorServer:
    """The part of the editor's HTTP interface that a queue needs. Every call may raise `Unreachable`."""

    def __init__(self, url: str, timeout: float = 60) -> None:
        self.url = _checked_url(url)
        self._http = httpx.Client(base_url=self.url, timeout=httpx.Timeout(timeout, connect=5))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def object_info(self) -> dict[str, Any]:
        """What its nodes say about themselves. InputError if something else answers at this address."""
        reply = self._ask("GET", "/object_info", fine=(200, 404, 405))
        try:
            infos = reply.json()
        except ValueError:
            infos = None
        if not isinstance(infos, dict) or "LoadImage" not in infos:
            raise InputError(f"What answers at {self.url} is no ComfyUI; give the address that its window has.")
        return infos

    def upload(self, path: Path, name: str) -> None:
        """Puts a picture into its input folder. The same picture again changes nothing there."""
        with path.open("rb") as file:
            form = {"subfolder": FOLDER, "type": "input"}
            reply = self._ask("POST", "/upload/image", (200, 413), files={"image": (name, file)}, data=form)
        if reply.status_code == 413:
            raise InputError(f"The picture {path} is too large for the server; make it smaller.")
        if reply.json().get("name") != name:
            raise InputError(f"The server has another picture called {FOLDER}/{name}; rename {path}.")

    def queue(self, prompt: Mapping[str, Any], prompt_id: str, client_id: str) -> str:
        """Hands a workflow over, under an id chosen here. Returns the id the server knows it by."""
        body = {"prompt": prompt, "prompt_id": prompt_id, "client_id": client_id}
        reply = self._ask("POST", "/prompt", (200, 400), json=body)
        if reply.status_code == 400:
            raise Refused("\n".join(dict.fromkeys(_refusals(reply.json(), prompt))))
        return str(reply.json()["prompt_id"])

    def in_queue(self) -> set[str]:
        """The ids of all that waits or runs there."""
        queue = self._json("/queue")
        return {str(item[1]) for part in ("queue_running", "queue_pending") for item in queue[part]}

    def history(self, prompt_id: str) -> dict[str, Any] | None:
        """What became of a workflow that is over; None if it is not, or if the server does not remember it."""
        return self._json(f"/history/{prompt_id}").get(prompt_id)

    def cancel(self, prompt_ids: Iterable[str]) -> None:
        """Takes workflows out of its queue, and stops the one of them that runs."""
        ids = list(prompt_ids)
        self._ask("POST", "/queue", json={"delete": ids})
        running = {str(item[1]) for item in self._json("/queue")["queue_running"]}
        for id in running & set(ids):
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
        except httpx.TransportError as error:
            raise Unreachable(str(error)) from error
        return digest.hexdigest()

    def _json(self, path: str) -> dict[str, Any]:
        return self._ask("GET", path).json()

    def _ask(self, method: str, path: str, fine: Container[int] = (200,), **more: Any) -> httpx.Response:
        try:
            reply = self._http.request(method, path.lstrip("/"), **more)
        except httpx.TransportError as error:
            raise Unreachable(str(error)) from error
        return self._checked(reply, path, fine)

    def _checked(self, reply: httpx.Response, path: str, fine: Container[int]) -> httpx.Response:
        if reply.status_code in BUSY:
            raise Unreachable(f"it answered {reply.status_code}")
        if reply.status_code in (401, 403):
            raise Refused(f"The server at {self.url} wants a login or forbids {path}; ask whoever runs it.")
        if reply.status_code not in fine:
            raise Refused(f"The server at {self.url} answered {reply.status_code} to {path}; its log says why.")
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
    return url.rstrip("/")


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
