"""The editor's messages, as they come: which node works, how far it is, what is over."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import httpcore
from wsproto.connection import CLIENT
from wsproto.connection import Connection as Frames
from wsproto.events import CloseConnection, Event, Ping, TextMessage
from wsproto.utilities import LocalProtocolError

from .connection import FAILURES, Connection, Unreachable

LONGEST = 1 << 24  # characters of a message; longer ones are passed over
AT_ONCE = 1 << 16

Message = tuple[str, dict[str, Any]]  # kind and data


class Events:
    """One connection. The server sends it what concerns the workflows queued under `client_id`.

    `heard`: whether it has sent anything at all.
    """

    def __init__(self, connection: Connection, client_id: str) -> None:
        self._connection, self._client_id = connection, client_id
        self._frames, self._text, self.heard = Frames(CLIENT), "", False
        self._too_long, self._open = False, ExitStack()
        self._waiting: Iterator[Event] = iter(())

    def open(self) -> None:
        """May raise `NoMessages`, `Unreachable` and `UnexpectedAnswer`."""
        websocket = self._connection.websocket("/ws", {"clientId": self._client_id})
        self._stream = self._open.enter_context(websocket)

    def close(self) -> None:
        self._open.close()  # no farewell: the server may be gone

    def receive(self, seconds: float) -> Message | None:
        """The next message; None if none came in this time that can be read."""
        end = time.monotonic() + seconds
        while True:
            for event in self._waiting:
                if message := self._taken(event):
                    return message
                if time.monotonic() > end:
                    return None
            left = end - time.monotonic()
            if left <= 0 or not self._read(left):
                return None

    def _read(self, seconds: float) -> bool:
        """Whether anything came in this time."""
        try:
            data = self._stream.read(AT_ONCE, timeout=seconds)
        except httpcore.ReadTimeout:
            return False
        except FAILURES as error:
            raise Unreachable(self._connection.told(error)) from error
        if not data:
            raise Unreachable("the connection was closed")
        self._frames.receive_data(data)
        self._waiting = self._frames.events()
        return True

    def _taken(self, event: Event) -> Message | None:
        """The message that this completes. Pictures and what is no message of the editor's are passed over."""
        self.heard = True
        if isinstance(event, CloseConnection):
            raise Unreachable("the connection was closed")
        if isinstance(event, Ping):
            with suppress(*FAILURES, LocalProtocolError):
                self._stream.write(self._frames.send(event.response()), timeout=1)
        if not isinstance(event, TextMessage):
            return None
        self._too_long |= len(self._text) + len(event.data) > LONGEST
        self._text = "" if self._too_long else self._text + event.data
        if not event.message_finished:
            return None
        text, self._text, self._too_long = self._text, "", False
        with suppress(ValueError, TypeError, KeyError, RecursionError):
            message = json.loads(text)
            return str(message["type"]), dict(message["data"])
        return None


class Silence:
    """Stands for `Events` where no messages come."""

    def receive(self, seconds: float) -> None:
        time.sleep(seconds)
