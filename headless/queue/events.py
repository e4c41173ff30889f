"""The editor's messages, as they come: which node works, how far it is, what is over."""

import json
from base64 import b64encode
from contextlib import suppress
from typing import Any, Self
from urllib.parse import unquote, urlencode, urlsplit

import websocket

from .server import BUSY, Strange, Unreachable


class Events:
    """One connection. The server sends it what concerns the workflows queued under `client_id`."""

    def __init__(self, address: str, shown: str, client_id: str) -> None:
        parts = urlsplit(address)
        login = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
        self._headers = [f"Authorization: Basic {b64encode(login.encode()).decode()}"] if "@" in parts.netloc else []
        url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        self._server, self._url = shown, f"ws{url.removeprefix('http')}/ws?{urlencode({'clientId': client_id})}"

    def __enter__(self) -> Self:
        try:
            self._socket = websocket.create_connection(self._url, timeout=10, header=self._headers)
        except websocket.WebSocketBadStatusException as error:
            what = f"it answered {error.status_code}"
            if error.status_code in BUSY:
                raise Unreachable(what) from error
            raise Strange(f"The server at {self._server} sends no messages ({what} to /ws).") from error
        except (websocket.WebSocketException, OSError) as error:
            raise Unreachable(str(error)) from error
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown()  # no farewell: the server may be gone

    def receive(self, seconds: float) -> tuple[str, dict[str, Any]] | None:
        """The next message's kind and data; None if none came in this time, or nothing that can be read."""
        try:
            self._socket.settimeout(seconds)
            message = self._socket.recv()
        except websocket.WebSocketTimeoutException:
            return None
        except (websocket.WebSocketException, OSError) as error:
            raise Unreachable(str(error)) from error
        if isinstance(message, bytes):  # a preview picture
            return None
        if not message:  # what a closed connection gives
            raise Unreachable("the connection was closed")
        with suppress(ValueError, TypeError, KeyError):
            event = json.loads(message)
            return str(event["type"]), dict(event["data"])
        return None
