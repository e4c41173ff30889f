"""Where the editor is, and what only the editor may hear: a login, a token, headers of one's own."""

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self
from urllib.parse import parse_qsl, quote, unquote, urljoin, urlsplit

from ...svd.errors import InputError

PORTS = {"http": 80, "https": 443}
TOKEN = "SVD_NODES_TOKEN"  # the environment's variable
OURS = (
    *("connection", "content-length", "content-type", "expect", "host", "origin", "te", "trailer"),
    *("transfer-encoding", "upgrade"),
)  # headers that the requests themselves decide
SHORTEST = 4  # characters of a secret that is looked for in others' words; shorter ones are in every text


@dataclass(frozen=True)
class Address:
    """An address taken apart. `query` goes with every request; `str()` may be shown: it has neither login nor query."""

    scheme: str
    host: str
    port: int
    path: str = ""
    query: str = ""
    login: str = ""  # name:password

    @classmethod
    def read(cls, text: str) -> Self:
        """InputError if this is none."""
        text = text.strip()
        url = text if "://" in text else f"http://{text}"
        try:
            parts = urlsplit(url)
            host = (parts.hostname or "").encode("idna").decode("ascii")
            port = PORTS[parts.scheme] if parts.port is None else parts.port
            sound = port > 0 and re.fullmatch(r"[A-Za-z0-9._~:%-]+", host)
        except (ValueError, KeyError):  # Unicode's are ValueErrors
            sound = None
        if not sound:
            shown = re.sub(r"(//)?[^/]*@", r"\1", re.split(r"[?#]", text)[0])
            raise InputError(f'"--server {shown}" is no address, such as http://127.0.0.1:8188.')
        login = ":".join(unquote(part or "") for part in (parts.username, parts.password))
        path, query = (quote(part, safe="/%:@!$&'()*+,;=~?") for part in (parts.path.rstrip("/"), parts.query))
        return cls(parts.scheme, host, port, path, query, login if "@" in parts.netloc else "")

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc}{self.path}"

    @property
    def netloc(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    def target(self, path: str, query: str = "") -> str:
        """What a request asks for."""
        query = "&".join(filter(None, (self.query, query)))
        return f"{self.path}{path}" + (f"?{query}" if query else "")

    def moved(self, path: str, location: str) -> "Address | None":
        """The editor's address if its `path` has moved to `location`; None if that is none, or another page."""
        try:
            there = Address.read(urljoin(f"{self}{path}", location))
        except (InputError, ValueError):
            return None
        if not f"{there.path}/".endswith(f"{path.rstrip('/')}/"):
            return None
        return replace(there, path=there.path.removesuffix(path).rstrip("/"), query=self.query, login=self.login)

    def is_host_of(self, other: "Address") -> bool:
        """Whether `other` is on the same machine, and no less private."""
        return self.host == other.host and (self.scheme, other.scheme) != ("https", "http")

    def may_tell(self, other: "Address") -> bool:
        """Whether what only this server may hear may be told to `other`: the same, or the same over TLS."""
        upgraded = (self.scheme, self.port, other.scheme, other.port) == ("http", 80, "https", 443)
        return self.is_host_of(other) and (self.port == other.port or upgraded)


@dataclass(frozen=True)
class Secrets:
    """What goes to the server with every request, and is shown and kept nowhere."""

    headers: Mapping[str, str]
    words: Sequence[str]  # to be looked for in what the server says

    @classmethod
    def of(cls, address: Address, headers: Sequence[str], token: str = "") -> Self:
        """Headers in the form NAME: VALUE win over the address's login, and that wins over the token."""
        told: dict[str, str] = {}
        if token := token.strip():
            told["Authorization"] = f"Bearer {_sound(token, f'${TOKEN}')}"
        if address.login:
            told["Authorization"] = f"Basic {b64encode(address.login.encode()).decode()}"
        own = dict(map(_header, headers))
        kept = {name: value for name, value in told.items() if name.casefold() not in map(str.casefold, own)}
        told = kept | own
        words = [token, address.query, *address.login.split(":", 1), *(value for _, value in parse_qsl(address.query))]
        for value in told.values():
            words += [value, value.rpartition(" ")[2]]
        return cls(told, sorted({each for word in words for each in (word, quote(word))}, key=len, reverse=True))

    def __bool__(self) -> bool:
        return bool(self.headers) or any(self.words)

    def hidden(self, text: str) -> str:
        """A text of the server's without them: an error page may hold the address it was asked for."""
        for word in self.words:
            if len(word) >= SHORTEST:
                text = text.replace(word, "***")
        return text


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name := name.strip()):
        raise InputError('A --header is not of the form "NAME: VALUE", such as "X-Api-Key: 123".')
    if name.casefold() in OURS or name.casefold().startswith("sec-websocket"):
        raise InputError(f'"--header {name}": the requests themselves set this one; leave it out.')
    return name, _sound(value.strip(), f"--header {name}")


def _sound(value: str, where: str) -> str:
    if not value.isascii() or not value.isprintable():
        raise InputError(f'"{where}" holds characters that no header can have; give it in plain ASCII, on one line.')
    return value
