"""The editor's messages, as they come: which node works, how far it is, what is over."""

import json
from typing import Any, Self
from urllib.parse import urlencode

import websocket

from .server import Unreachable


class Events:
    """One connection. The server sends it what concerns the workflows queued under `client_id`."""

    def __init__(self, url: str, client_id: str) -> None:
        self._url = f"ws{url.removeprefix('http')}/ws?{urlencode({'clientId': client_id})}"

    def __enter__(self) -> Self:
        try:
            self._socket = websocket.create_connection(self._url, timeout=10)
        except (websocket.WebSocketException, OSError) as error:
            raise Unreachable(str(error)) from error
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown()  # no farewell: the server may be gone

    def receive(self, seconds: float) -> dict[str, Any] | None:
        """The next message; None if none came in this time, or only a preview picture."""
        try:
            self._socket.settimeout(seconds)
            message = self._socket.recv()
        except websocket.WebSocketTimeoutException:
            return None
        except (websocket.WebSocketException, OSError) as error:
            raise Unreachable(str(error)) from error
        if isinstance(message, bytes):
            return None
        if not message:  # what a closed connection gives
            raise Unreachable("the connection was closed")
        return json.loads(message)
