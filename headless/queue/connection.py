"""The one way to the editor's server: over a proxy or not, with what it has to hear, within limits.

Nothing is followed by itself: a redirect is an answer like others, so what one host may hear goes to no other.
"""

import json
import zlib
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from os import urandom
from typing import Any, Self
from urllib.parse import urlencode

import httpcore
from wsproto.utilities import generate_accept_token

from .address import Address, Secrets
from .limits import Clock, ClockedBackend, Limits
from .proxy import Proxy, proxy_for
from .trust import distrust
from .words import excerpt, one_line

FAILURES = (
    httpcore.NetworkError,
    httpcore.TimeoutException,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    OSError,
    UnicodeError,
)  # what httpcore raises where a server or the way to it fails
BUSY = (408, 429, 502, 503, 504, *range(520, 525), 530)  # a proxy whose server is away; from 520 on, Cloudflare's own
MOST_PARTS = 8_000_000  # lists, objects and values of an answer; of small ones, memory holds many times the bytes
CHUNK = 1 << 16
Query = Mapping[str, str]


class Unreachable(Exception):
    """The server did not answer, or broke off: worth trying again."""


class UnexpectedAnswer(Exception):
    """The server answered as the editor does not; one sentence that says what."""


class NoMessages(Exception):
    """The way to the server lets no WebSocket through; a clause."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]  # by name in lower case
    body: bytes = field(repr=False, default=b"")

    def json(self) -> Any:
        """ValueError where it is none, or one that is larger than any of the editor's."""
        if sum(map(self.body.count, (b"[", b"{", b","))) > MOST_PARTS:
            raise ValueError("too many parts")
        return json.loads(self.body)

    @property
    def is_redirect(self) -> bool:
        return self.status in (301, 302, 303, 307, 308)


class Connection:
    """To one address. Every call may raise `Unreachable` and `UnexpectedAnswer`.

    Raises:
        InputError: the proxy that the environment names cannot be used.
    """

    def __init__(self, address: Address, secrets: Secrets, trust: Any, limits: Limits) -> None:
        self.address, self._secrets, self._trust, self.limits = address, secrets, trust, limits
        self.proxy = proxy_for(address)
        self._clock = Clock()
        self._pool = self._opened(self._clock)

    def at(self, address: Address) -> Self:
        """One to where the editor has moved. What only this host may hear is told there too: ask `may_follow` first."""
        self.close()
        return type(self)(address, self._secrets, self._trust, self.limits)

    def may_follow(self, address: Address) -> bool:
        return self.address.may_tell(address) or (self.address.is_host_of(address) and not self._secrets)

    def close(self) -> None:
        self._pool.close()

    @property
    def where(self) -> str:
        """The server's address in a sentence, with the proxy in front of it."""
        return f"{self.address}{_through(self.proxy)}"

    def told(self, words: object) -> str:
        """Words of the server's, to be shown."""
        return self._secrets.hidden(str(words))

    def excerpt(self, body: bytes) -> str:
        return self.told(excerpt(body))

    def ask(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        body: bytes = b"",
        kind: str = "application/json",
        most: int | None = None,
    ) -> Answer:
        """A whole answer, at most `most` bytes."""
        more = {"Accept-Encoding": "gzip", **({"Content-Type": kind} if body else {})}
        self._clock.start(self.limits.answer + len(body) / self.limits.rate)
        with self._answer(self._request(method, path, query, body, more)) as (answer, chunks):
            most = self.limits.answer_bytes if most is None else most
            return Answer(answer.status, answer.headers, b"".join(self._bounded(chunks, path, most)))

    @contextmanager
    def file(self, path: str, query: Query) -> Iterator[tuple[Answer, Iterator[bytes]]]:
        """An answer without its body, and that piece by piece. It may take as long as a slow line needs."""
        self._clock.start(self.limits.answer, self.limits.rate)
        with self._answer(self._request("GET", path, query, b"", {})) as (answer, chunks):
            yield answer, self._bounded(chunks, path, self.limits.file_bytes)

    @contextmanager
    def websocket(self, path: str, query: Query) -> Iterator[httpcore.NetworkStream]:
        """The stream behind a WebSocket's handshake. NoMessages if there is none."""
        key = b64encode(urandom(16))
        more = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        clock = Clock()
        clock.start(self.limits.connect * 2)
        with self._opened(clock) as pool:
            request = self._request("GET", path, query, b"", more | {"Sec-WebSocket-Key": key.decode()})
            answer = self._sent(pool, request, clock)
            try:
                accepted = _headers(answer).get("sec-websocket-accept", "")
                if answer.status in BUSY:
                    raise Unreachable(f"it answered {answer.status}")
                if answer.status != 101 or accepted != generate_accept_token(key).decode():
                    raise NoMessages(f"it answered {answer.status} to {path}")
                clock.start(None)
                yield answer.extensions["network_stream"]
            finally:
                _end(answer)

    def _opened(self, clock: Clock) -> httpcore.ConnectionPool:
        proxy = self.proxy.for_httpcore() if self.proxy else None
        return httpcore.ConnectionPool(self._trust, proxy, keepalive_expiry=30, network_backend=ClockedBackend(clock))

    def _request(
        self, method: str, path: str, query: Query | None, body: bytes, more: Mapping[str, str]
    ) -> httpcore.Request:
        at, target = self.address, self.address.target(path, urlencode(query or {}))
        url = httpcore.URL(scheme=at.scheme, host=at.host, port=at.port, target=target)
        headers = {"Host": at.netloc, "User-Agent": "svd-nodes", "Accept": "*/*", **more, **self._secrets.headers}
        if method != "GET":
            headers["Content-Length"] = str(len(body))
        timeout = dict.fromkeys(("connect", "pool"), self.limits.connect)
        return httpcore.Request(
            method, url, headers=list(headers.items()), content=body, extensions={"timeout": timeout}
        )

    @contextmanager
    def _answer(self, request: httpcore.Request) -> Iterator[tuple[Answer, Iterator[bytes]]]:
        answer = self._sent(self._pool, request, self._clock)
        try:
            headers = _headers(answer)
            yield Answer(answer.status, headers), _unpacked(answer.iter_stream(), headers.get("content-encoding", ""))
        finally:
            _end(answer)

    def _sent(self, pool: httpcore.ConnectionPool, request: httpcore.Request, clock: Clock) -> httpcore.Response:
        try:
            return pool.handle_request(request)
        except FAILURES as error:
            raise self._failed(error, clock) from error
        except Exception as error:  # of the SOCKS package, which asserts that proxies keep to the rules
            if self.proxy is None or self.proxy.kind != "socks5":
                raise
            raise Unreachable("the proxy answers as no SOCKS proxy does") from error

    def _bounded(self, chunks: Iterator[bytes], path: str, most: int) -> Iterator[bytes]:
        size = 0
        try:
            for chunk in chunks:
                self._clock.within(None)
                size += len(chunk)
                if size > most:
                    raise UnexpectedAnswer(f"The server at {self.where} answered {path} with more than {most:,} bytes.")
                yield chunk
        except FAILURES as error:
            raise self._failed(error, self._clock) from error
        except zlib.error:
            raise UnexpectedAnswer(f"The server at {self.where} packed its answer to {path} wrongly.") from None

    def _failed(self, error: Exception, clock: Clock) -> Exception:
        if what := distrust(error):
            return UnexpectedAnswer(f"The certificate of {self.where} {what}.")
        if isinstance(error, httpcore.TimeoutException):
            return Unreachable(f"no whole answer in {clock.seconds:g} s")
        return Unreachable(one_line(self.told(error)) or type(error).__name__)


def multipart(fields: Mapping[str, str], name: str, data: bytes) -> tuple[bytes, str]:
    """A form with a picture in it, and its kind. The names are our own: they hold nothing that has to be escaped."""
    boundary = f"svd-nodes-{urandom(16).hex()}"
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
        for key, value in fields.items()
    ]
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n'
    head += "Content-Type: application/octet-stream\r\n\r\n"
    body = "".join([*parts, head]).encode() + data + f"\r\n--{boundary}--\r\n".encode()
    return body, f"multipart/form-data; boundary={boundary}"


def _through(proxy: Proxy | None) -> str:
    return f" (through the proxy {proxy} of {proxy.variable})" if proxy else ""


def _headers(answer: httpcore.Response) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in answer.headers}


def _unpacked(chunks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """The bytes of a body, never many more at a time than came."""
    match encoding.strip().lower():
        case "" | "identity":
            yield from chunks
        case "gzip" | "x-gzip" | "deflate":
            unpacker = zlib.decompressobj(wbits=47)  # of either kind, as the beginning says
            for chunk in chunks:
                while (data := unpacker.decompress(chunk, CHUNK)) or unpacker.unconsumed_tail:
                    yield data
                    chunk = unpacker.unconsumed_tail
            if not unpacker.eof:
                raise httpcore.RemoteProtocolError("the answer broke off")
        case _:
            raise zlib.error("a kind that was not asked for")


def _end(answer: httpcore.Response) -> None:
    with suppress(*FAILURES):  # it has been read, or has failed already
        answer.close()
