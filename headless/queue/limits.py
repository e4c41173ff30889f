"""What a server may take of our time and memory: every answer has a deadline as a whole, and a size."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from ssl import SSLContext
from typing import Any

import httpcore

MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """Seconds and bytes, both of a whole answer.

    connect: seconds until the server is reached.
    answer: seconds for an answer, from the request's first byte to the answer's last.
    rate: bytes a second; what a file needs at this pace, up or down, is added to the seconds. A drip is slower.
    answer_bytes, queue_bytes, file_bytes: the sizes, unpacked. The server's queue holds every waiting workflow.
    """

    connect: float = 5.0
    answer: float = 60.0
    rate: float = 16 * 1024
    answer_bytes: int = 64 * MIB
    queue_bytes: int = 256 * MIB
    file_bytes: int = 4096 * MIB


class Clock:
    """Counts down for one answer at a time. With a rate, every byte that comes or goes adds a little time."""

    def __init__(self) -> None:
        self.start(None)

    def start(self, seconds: float | None, rate: float = float("inf")) -> None:
        """None: for ever, as for messages that may come at any time."""
        self.seconds, self._rate = seconds, rate
        self._end = float("inf") if seconds is None else time.monotonic() + seconds

    def moved(self, count: int) -> None:
        self._end += count / self._rate

    def within(self, timeout: float | None) -> float | None:
        """So many seconds may one step take, if it may take `timeout` by itself. ReadTimeout when time is up."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout
        shortest = min(left, float("inf") if timeout is None else timeout)
        return None if shortest == float("inf") else shortest


class ClockedBackend(httpcore.SyncBackend):
    """Opens connections on which nothing takes longer than the clock says: no header, no handshake, no proxy."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        timeout = self._clock.within(timeout)
        return _Clocked(super().connect_tcp(host, port, timeout, local_address, socket_options), self._clock)


class _Clocked(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, clock: Clock) -> None:
        self._stream, self._clock = stream, clock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = self._stream.read(max_bytes, self._clock.within(timeout))
        self._clock.moved(len(data))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), 1 << 16):  # as the deadline of a write begins again with every part
            part = buffer[start : start + (1 << 16)]
            self._stream.write(part, self._clock.within(timeout))
            self._clock.moved(len(part))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, self._clock.within(timeout))
        return _Clocked(stream, self._clock)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
