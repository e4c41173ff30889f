"""The proxy that stands between us and the editor, if the environment says that one does."""

import re
import socket
from dataclasses import dataclass
from importlib.util import find_spec
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpcore

from ...svd.errors import InputError
from .address import Address

KINDS = {"http": "http", "https": "https", "socks": "socks5", "socks5": "socks5", "socks5h": "socks5"}
PORTS = {"http": 80, "https": 443, "socks5": 1080}
HERE = ("localhost", "localhost.localdomain", "localhost6", "ip6-localhost", "ip6-loopback")


@dataclass(frozen=True)
class Proxy:
    """One that was named by `variable` of the environment. `str()` may be shown: it has no login."""

    variable: str
    kind: str
    host: str
    port: int
    login: tuple[str, str] | None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.kind}://{host}:{self.port}"

    def for_httpcore(self) -> httpcore.Proxy:
        """InputError if the package that SOCKS needs is not there."""
        if self.kind == "socks5" and find_spec("socksio") is None:  # httpcore's own need
            raise InputError(
                f"The way to the server leads through the SOCKS proxy {self} ({self.variable}): "
                "pip install 'svd-nodes[socks]' brings what that needs, or name the server in no_proxy."
            )
        url = httpcore.URL(scheme=self.kind, host=self.host, port=self.port, target="/")
        return httpcore.Proxy(url, auth=self.login and (self.login[0].encode(), self.login[1].encode()))


def proxy_for(address: Address) -> Proxy | None:
    """The proxy for this address. A machine itself is never asked for through one.

    Raises:
        InputError: the one that is named cannot be used.
    """
    named = getproxies()
    key = next((key for key in (address.scheme, "all") if named.get(key)), None)
    if key is None or is_here(address.host):
        return None
    entries = re.split(r"[,;\s]+", named.get("no", ""))
    if any(_covers(entry, address) for entry in entries) or proxy_bypass(address.host):
        return None
    return _read(f"{key}_proxy", named[key])


def is_here(host: str) -> bool:
    """Whether a host is this machine by its name or number alone."""
    name = host.rstrip(".").lower()
    number = _number(name)
    return name in HERE or name.endswith(".localhost") or bool(number and (number.is_loopback or _is_any(number)))


def _is_any(number: IPv4Address | IPv6Address) -> bool:
    """0.0.0.0, which the editor's log shows where it listens to everybody, leads to this machine."""
    return number.is_unspecified


def _number(host: str) -> IPv4Address | IPv6Address | None:
    try:
        number = ip_address(host.partition("%")[0])
    except ValueError:
        if not re.fullmatch(r"[0-9a-fx.]+", host):
            return None
        try:
            number = IPv4Address(socket.inet_aton(host))  # 127.1
        except OSError:
            return None
    return (number.ipv4_mapped or number) if isinstance(number, IPv6Address) else number


def _covers(entry: str, address: Address) -> bool:
    """Whether an entry of no_proxy means this address: a name, the end of one, a number, a network; with a port or not.

    What is none of these is passed over: others read the same variable, and have forms of their own.
    """
    entry = entry.rpartition("//")[2].rstrip("/") if "://" in entry else entry
    if entry == "*":
        return True
    number = _number(address.host)
    try:
        network = ip_network(entry.strip("[]"), strict=False)
        return number is not None and number.version == network.version and number in network
    except ValueError:
        pass
    host, port = _host_and_port(entry)
    if not host or (port and port != str(address.port)):
        return False
    if number is not None:
        return number == _number(host)
    name, end = address.host.rstrip(".").lower(), host.lstrip("*").strip(".").lower()
    return bool(end) and (name == end or name.endswith(f".{end}"))


def _host_and_port(entry: str) -> tuple[str, str]:
    found = re.fullmatch(r"\[([^\]]*)\](?::(\d+))?|([^:]*)(?::(\d+))?", entry)
    return (found[1] or found[3] or "", found[2] or found[4] or "") if found else ("", "")


def _read(variable: str, text: str) -> Proxy:
    url = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(url)
        kind, host = KINDS.get(parts.scheme), (parts.hostname or "").encode("idna").decode("ascii")
        port = parts.port or PORTS.get(kind or "", 0)
    except ValueError:
        kind, host = None, ""
    if not kind or not host:
        shown = re.sub("(//)?[^/]*@", r"\1", text)
        raise InputError(
            f'{variable} is "{shown}", which is no proxy that can be used: '
            "name one such as http://host:3128 or socks5://host:1080, or the server in no_proxy."
        )
    login = (unquote(parts.username or ""), unquote(parts.password or "")) if "@" in parts.netloc else None
    return Proxy(variable, kind, host, port, login)
