"""A running editor, asked over HTTP: its nodes, its queue, its memory of what it has done, its files."""

import hashlib
import json
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from ...svd.errors import InputError
from ..graph import Info
from .address import TOKEN
from .connection import BUSY, Answer, Connection, UnexpectedAnswer, Unreachable, multipart
from .descriptions import sound
from .outcome import Outcome
from .refusals import node_faults, refusal
from .words import one_line

FOLDER = "svd-queue"  # of the server's input and output folders, for all that comes from here
MOVES = 5  # redirects that are followed
PAGE = "/"  # what the editor's window shows
OTHER_SHAPE = (
    AttributeError,
    IndexError,
    KeyError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
)  # of looking into JSON that is not as hoped


class Refused(Exception):
    """The server will not run this workflow; one sentence a line."""


@dataclass(frozen=True)
class Line:
    """The server's queue: the ids of what runs, then of what waits, in its turn."""

    running: Sequence[str]
    waiting: Sequence[str]

    def before(self, own: Container[str]) -> int:
        """How many jobs come before the first of these; 0 where one of them runs, or none is there."""
        line = [*self.running, *self.waiting]
        first = next((place for place, id in enumerate(line) if id in own), 0)
        return 0 if any(id in own for id in self.running) else first

    def __contains__(self, id: object) -> bool:
        return id in self.running or id in self.waiting


class EditorServer:
    """The part of the editor's HTTP interface that a queue needs.

    Every call may raise `Unreachable` and `UnexpectedAnswer`.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    @property
    def url(self) -> str:
        """The address to be shown and written down: without the login or the token that it may hold."""
        return str(self.connection.address)

    @property
    def where(self) -> str:
        """The same in a sentence, with the proxy in front of it."""
        return self.connection.where

    def object_info(self) -> dict[str, Info]:
        """What its nodes say about themselves. InputError if something else answers at this address.

        Where the editor, or its page, has moved on the same host, it is asked there from now on.
        """
        answer = self._found("/object_info")
        infos = _nodes(answer)
        if infos is None:
            before = self.url
            self._found(PAGE)
            if self.url != before:
                answer = self._found("/object_info")
                infos = _nodes(answer)
        if infos is None:
            what = f"What answers at {self.where} is no ComfyUI: it says {self.connection.excerpt(answer.body)}"
            raise InputError(f"{what}; give the address that the editor's window has.")
        return sound(infos)

    def _found(self, path: str) -> Answer:
        """The answer to a GET, wherever the editor has moved to on its host."""
        for _ in range(MOVES):
            answer = self.connection.ask("GET", path)
            if not answer.is_redirect:
                break
            address = self.connection.address.moved(path, answer.headers.get("location", ""))
            if address is None or not self.connection.may_follow(address):
                break
            self.connection = self.connection.at(address)
        return self._checked(answer, path, (200, 404, 405))

    def upload(self, path: Path, data: bytes, name: str) -> None:
        """Puts a picture, and `data` is what it holds, into its input folder. The same again changes nothing there."""
        body, kind = multipart({"subfolder": FOLDER, "type": "input"}, name, data)
        answer = self._ask("POST", "/upload/image", (200, 413), body=body, kind=kind)
        if answer.status == 413:
            raise InputError(f"The picture {path} is too large for the server; make it smaller.")
        with self._read(answer, "/upload/image"):
            there = answer.json()
            put = there.get("name") == name and there.get("subfolder", FOLDER) == FOLDER
        if not put:
            raise InputError(f"The server has another picture called {FOLDER}/{name}; rename {path}.")

    def queue(
        self, prompt: Mapping[str, Any], prompt_id: str, client_id: str, only: Sequence[str] = ()
    ) -> dict[str, str]:
        """Hands a workflow over, under an id chosen here.

        only: the nodes whose results are wanted; none: all.
        Returns: the nodes whose results it will not make, though it makes others, and a sentence that says why.
        Raises:
            Refused: it will make none.
        """
        asked = {"prompt": prompt, "prompt_id": prompt_id, "client_id": client_id}
        if only:
            asked["partial_execution_targets"] = list(only)
        answer = self._ask("POST", "/prompt", (200, 400), body=json.dumps(asked).encode())
        with self._read(answer, "/prompt"):
            told = answer.json()
            whole = refusal(told, prompt) if answer.status == 400 else ""
            known_by = prompt_id if whole else told["prompt_id"]
            faults = {} if whole else node_faults(told, prompt)
        if whole:
            raise Refused(self.connection.told(whole))
        if known_by != prompt_id:
            raise UnexpectedAnswer(
                f"The server at {self.where} gives jobs ids of its own: it needs ComfyUI 0.3.64 or newer."
            )
        return {id: self.connection.told(why) for id, why in faults.items()}

    def line(self) -> Line:
        """What waits or runs there: from one answer, so that no job is missed that goes from part to part."""
        answer = self._ask("GET", "/queue", most=self.connection.limits.queue_bytes)
        with self._read(answer, "/queue"):
            queue = answer.json()
            running = [str(item[1]) for item in queue["queue_running"]]
            waiting = sorted((float(item[0]), str(item[1])) for item in queue["queue_pending"])
        return Line(running, [id for _, id in waiting])

    def outcome(self, prompt_id: str) -> Outcome | None:
        """What became of a workflow that is over; None if it is not, or if the server does not remember it."""
        path = f"/history/{prompt_id}"
        answer = self._ask("GET", path)
        with self._read(answer, path):
            history = answer.json().get(prompt_id)
            return None if history is None else Outcome.read(history, self.connection.told)

    def cancel(self, prompt_ids: Iterable[str]) -> None:
        """Takes workflows out of its queue, and stops the one of them that runs."""
        ids = list(prompt_ids)
        self._post("/queue", {"delete": ids})
        for id in set(self.line().running) & set(ids):
            self._post("/interrupt", {"prompt_id": id})

    def download(self, file: Mapping[str, str], write: Callable[[bytes], object]) -> str | None:
        """Passes a file's bytes to `write`. Returns their SHA-256, or None if the server has no such file."""
        digest = hashlib.sha256()
        asked = {name: file.get(name, "") for name in ("filename", "subfolder", "type")}
        with self.connection.file("/view", asked) as (answer, chunks):
            if answer.status != 200:
                body = next(chunks, b"")
                self._checked(Answer(answer.status, answer.headers, body), "/view", (404,))
                return None
            for chunk in chunks:
                digest.update(chunk)
                write(chunk)
        return digest.hexdigest()

    def _post(self, path: str, content: Any) -> Answer:
        return self._ask("POST", path, body=json.dumps(content).encode())

    @contextmanager
    def _read(self, answer: Answer, path: str) -> Iterator[None]:
        """For looking into an answer: one of another shape than the editor's is told as it came."""
        try:
            yield
        except OTHER_SHAPE:
            what = self.connection.excerpt(answer.body)
            raise UnexpectedAnswer(f"The server at {self.where} answered {path} as no ComfyUI does: {what}.") from None

    def _ask(self, method: str, path: str, fine: Container[int] = (200,), **more: Any) -> Answer:
        return self._checked(self.connection.ask(method, path, **more), path, fine)

    def _checked(self, answer: Answer, path: str, fine: Container[int]) -> Answer:
        if answer.status in fine:
            return answer
        if answer.status in BUSY:
            raise Unreachable(f"it answered {answer.status}")
        raise UnexpectedAnswer(f"The server at {self.where} {self._why_not(answer, path)}.")

    def _why_not(self, answer: Answer, path: str) -> str:
        if answer.status in (401, 403):
            how = f"one goes into the address, into ${TOKEN} or into --header"
            return f"wants a login or forbids {path}; ask whoever runs it ({how})"
        if answer.status == 407 and (proxy := self.connection.proxy):
            return f"is not reached: the proxy wants a login; put one into {proxy.variable}, as {proxy.kind}://NAME:PASSWORD@HOST"
        if answer.is_redirect:
            return self._sent_on(path, answer.headers.get("location", ""))
        what = f"answered {answer.status} to {path}: {self.connection.excerpt(answer.body)}"
        return f"{what}; its log may say why"

    def _sent_on(self, path: str, location: str) -> str:
        """Where to, as the address to be given; or, of another page, as that page's."""
        here = self.connection.address
        moved = here.moved(path, location)
        there = str(moved) if moved else one_line(self.connection.told(location.partition("?")[0]))[:200]
        if moved is None:
            return f'sends {path} on to "{there}", perhaps to log in; give the address that the editor\'s window has'
        return f"has moved to {there}; if that is yours, give it with --server (what is for one host goes to no other)"


def _nodes(answer: Answer) -> dict[str, Any] | None:
    """The descriptions of an editor's nodes, if this is what was answered."""
    try:
        infos = answer.json()
    except (ValueError, RecursionError):
        return None
    return infos if isinstance(infos, dict) and isinstance(infos.get("LoadImage"), dict) else None
