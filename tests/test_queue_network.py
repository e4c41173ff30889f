"""`svd-nodes queue` where the network is not plain: proxies, logins, redirects, certificates, servers that lie.

Real programs (nginx, microsocks, openssl) are started on this machine alone, where they are installed.
"""

import base64
import gzip
import hashlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import stand_in as stand_in_module
from PIL import Image
from stand_in import film, stand_in
from test_queue import EIGHT, assert_whole, call, client, page_lines, records, start, until, until_held
from tiny_files import WORKFLOWS, picture

from svd_nodes.headless.queue import session
from svd_nodes.headless.queue.address import Address
from svd_nodes.headless.queue.limits import Limits
from svd_nodes.headless.queue.proxy import is_here, proxy_for
from svd_nodes.headless.queue.timing import Timing

ONE = ["--image", "a.png", "--seeds", "1"]
KEY = "Geheim-4711"
QUICK = Limits(connect=1, answer=1.5, answer_bytes=1 << 20, queue_bytes=1 << 20, file_bytes=1 << 20)


@pytest.fixture(autouse=True)
def plain_network(monkeypatch):
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name in ("SSL_CERT_FILE", "SVD_NODES_TOKEN"):
            monkeypatch.delenv(name)


@pytest.fixture
def server():
    with stand_in() as running:
        yield running


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(session, "TIMING", Timing(pause=0.05, ask_every=0.1, limits=Limits(answer=20)))
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.png", 20, 20)
    return tmp_path


@contextmanager
def listening(serve):
    """Calls `serve(socket, head of the request)` for every connection; yields the port."""

    def one(connection):
        with connection:
            head = b""
            while b"\r\n\r\n" not in head:
                data = connection.recv(65536)
                if not data:
                    return
                head += data
            serve(connection, head)

    def loop():
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=quietly, args=(connection,), daemon=True).start()

    def quietly(connection):
        with suppress(OSError):
            one(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=loop, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def answer(status="200 OK", body=b"", *headers):
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def passed_on(port, edit):
    """A proxy before the stand-in, one request a connection: `edit` changes a request's head, or answers in bytes."""

    def serve(connection, data):
        head, _, rest = data.partition(b"\r\n\r\n")
        new = edit(head.decode("latin-1"))
        if isinstance(new, bytes):
            connection.sendall(new)
            return
        with socket.create_connection(("127.0.0.1", port)) as behind:
            behind.sendall(new.encode("latin-1") + b"\r\n\r\n" + rest)
            threading.Thread(target=pump, args=(connection, behind), daemon=True).start()
            pump(behind, connection)
            connection.shutdown(socket.SHUT_RDWR)  # wakes the other pump

    return listening(serve)


def pump(source, target):
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)


def path_of(head):
    return urlsplit(head.split()[1]).path


def without_keep_alive(head):
    """One request a connection, so that the next one is looked at too; a WebSocket's stays."""
    lines = [line for line in head.split("\r\n") if not line.lower().startswith("connection:")]
    return head if "upgrade: websocket" in head.lower() else "\r\n".join([*lines, "Connection: close"])


@contextmanager
def thief():
    """Another host, that must not be asked anything; yields its address and what it was asked."""
    asked = []

    def serve(connection, head):
        asked.append(head)
        connection.sendall(answer())

    with listening(serve) as port:
        yield f"http://localhost:{port}", asked


# ---- proxies


@pytest.mark.parametrize(
    "environment",
    [
        {"all_proxy": "socks5://127.0.0.1:9"},
        {"all_proxy": "socks://127.0.0.1:9/"},
        {"ALL_PROXY": "socks4://127.0.0.1:9", "no_proxy": "127.0.0.1,localhost"},
        {"http_proxy": "http://127.0.0.1:9", "no_proxy": "localhost,127.0.0.1,[::1]"},
        {"http_proxy": "http://127.0.0.1:9"},
        {"HTTP_PROXY": "127.0.0.1:9", "no_proxy": "localhost,127.0.0.0/8"},
        {"http_proxy": "no proxy at all:x", "NO_PROXY": "::,[,://,*.,.."},
    ],
)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_server_on_this_machine_is_asked_without_a_proxy(environment, host, folder, server, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    code, _, err = call(server, *ONE, "--server", f"http://{host}:{server.port}")
    assert code == 0, err
    assert_whole(server, 1)


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("localhost", True),
        ("LOCALHOST.", True),
        ("a.localhost", True),
        ("127.9.9.9", True),
        ("127.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("0.0.0.0", True),
        ("localhost.example.org", False),
        ("127.0.0.1.example.org", False),
        ("10.0.0.1", False),
        ("::2", False),
    ],
)
def test_what_is_this_machine(host, here):
    assert is_here(host) is here


@pytest.mark.parametrize(
    ("entries", "url", "direct"),
    [
        ("", "http://gpu", False),
        ("*", "http://gpu", True),
        ("gpu", "http://gpu", True),
        ("gpu", "http://agpu", False),
        ("example.org", "http://gpu.example.org", True),
        (".example.org", "http://gpu.example.org:8188", True),
        ("*.example.org", "http://gpu.example.org", True),
        ("EXAMPLE.org.", "http://gpu.Example.Org", True),
        ("gpu:8188", "http://gpu:8188", True),
        ("gpu:8188", "http://gpu:8189", False),
        ("10.0.0.0/8", "http://10.1.2.3:8188", True),
        ("10.0.0.0/8", "http://11.1.2.3", False),
        ("10.1.2.3/8 , x", "http://10.9.9.9", True),
        ("10.1.2.3", "http://10.1.2.3", True),
        ("fd00::/8", "http://[fd12::1]:8188", True),
        ("[fd12::1]", "http://[fd12::1]:8188", True),
        ("[fd12::1]:8188", "http://[fd12:0::1]:8188", True),
        ("[fd12::1]:8189", "http://[fd12::1]:8188", False),
        ("10.0.0.0/8", "http://[::ffff:10.1.2.3]", True),
        ("a b;gpu", "http://gpu", True),
        ("http://gpu/", "http://gpu", True),
        ("[::1,gpu:x,10.0.0.0/99,:::,gpu", "http://gpu", True),
        (".", "http://gpu", False),
    ],
)
def test_no_proxy(entries, url, direct, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", entries)
    proxy = proxy_for(Address.read(url))
    assert (proxy is None) is direct
    assert direct or (str(proxy), proxy.variable) == ("http://proxy:3128", "http_proxy")


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("http_proxy", "ftp://me:Geheim-4711@proxy", 'http_proxy is "ftp://proxy", which is no proxy that can be used'),
        ("all_proxy", "socks4://proxy", 'all_proxy is "socks4://proxy", which is no proxy that can be used'),
        ("http_proxy", "http://proxy:port", "which is no proxy that can be used"),
        ("http_proxy", "http://[::1", "which is no proxy that can be used"),
    ],
)
def test_a_proxy_that_cannot_be_used(name, value, what, folder, server, monkeypatch):
    monkeypatch.setenv(name, value)
    code, out, err = call(server, *ONE, "--server", "http://gpu.example.org")
    assert (code, out) == (2, "")
    assert what in err
    assert KEY not in err
    assert len(err.splitlines()) == 1


def test_a_socks_proxy_names_the_extra_where_it_is_missing(folder, server, monkeypatch):
    monkeypatch.setattr("svd_nodes.headless.queue.proxy.find_spec", lambda name: None)
    monkeypatch.setenv("all_proxy", "socks5://me:Geheim-4711@127.0.0.1:9")
    code, _, err = call(server, *ONE, "--server", "http://gpu.example.org")
    assert code == 2
    assert "the SOCKS proxy socks5://127.0.0.1:9 (all_proxy): pip install 'svd-nodes[socks]'" in err
    assert KEY not in err


def test_a_proxy_in_between_is_named(folder, server, monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://me:{KEY}@127.0.0.1:9")
    code, _, err = call(server, *ONE, "--server", "http://gpu.example.org")
    assert code == 1
    assert "answers at http://gpu.example.org (through the proxy http://127.0.0.1:9 of http_proxy) (" in err
    assert "name its host in no_proxy" in err
    assert KEY not in err


@pytest.mark.parametrize(
    ("status", "what"),
    [("407 Who are you", "the proxy wants a login; put one into http_proxy"), ("403 No", "wants a login or forbids")],
)
def test_a_proxy_that_refuses(status, what, folder, server, monkeypatch):
    with listening(lambda connection, head: connection.sendall(answer(status))) as port:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        code, _, err = call(server, *ONE, "--server", "http://gpu.example.org")
    assert code == 1
    assert what in err
    assert f"(through the proxy http://127.0.0.1:{port} of http_proxy)" in err


def test_through_an_http_proxy(folder, server, monkeypatch):
    """It hears whole addresses and its own login, and no WebSocket gets through it."""
    asked = []

    def edit(head):
        asked.append(head)
        method, url, rest = head.split(" ", 2)
        parts = urlsplit(url)
        return without_keep_alive(f"{method} {parts.path}?{parts.query} {rest}".replace("Upgrade", "X-Hop"))

    with passed_on(server.port, edit) as port:
        monkeypatch.setenv("http_proxy", f"me:{KEY}@127.0.0.1:{port}")
        code, _, err = call(server, *ONE, "--server", "http://gpu.example.org:8188")
    assert code == 0, err
    assert_whole(server, 1)
    login = base64.b64encode(f"me:{KEY}".encode()).decode()
    assert all(head.split()[1].startswith("http://gpu.example.org:8188/") for head in asked)
    assert all(f"proxy-authorization: basic {login}".lower() in head.lower() for head in asked)
    assert "sends no messages" in err


@pytest.fixture
def socks_server():
    """A real SOCKS server, with a login; yields its port."""
    program = shutil.which("microsocks") or pytest.skip("microsocks is not installed")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [program, "-i", "127.0.0.1", "-p", str(port), "-u", "me", "-P", KEY]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        until(lambda: reached(port))
        yield port
    finally:
        process.kill()
        process.wait()


def reached(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks"])
def test_through_a_socks_proxy(scheme, folder, socks_server, monkeypatch):
    pytest.importorskip("socksio")
    host = socket.gethostname()
    if is_here(host):
        pytest.skip("this machine has no name of its own")
    with stand_in("0.0.0.0") as server:
        monkeypatch.setenv("all_proxy", f"{scheme}://me:{KEY}@127.0.0.1:{socks_server}")
        code, _, err = call(server, *ONE, "--server", f"http://{host}:{server.port}")
        assert code == 0, err
        assert_whole(server, 1)
        assert "sends no messages" not in err  # the WebSocket goes the same way
        monkeypatch.setenv("all_proxy", f"socks5://me:wrong@127.0.0.1:{socks_server}")
        code, _, err = call(server, *ONE, "--server", f"http://{host}:{server.port}", "--output", "other")
    assert code == 1
    assert f"(through the proxy socks5://127.0.0.1:{socks_server} of all_proxy)" in err


@pytest.mark.parametrize("said", [b"", b"\5", b"\5\0\5", b"\5\xff", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\5\0" * 99])
def test_what_is_no_socks_proxy(said, folder, server, monkeypatch):
    pytest.importorskip("socksio")

    def serve(listener):
        while True:
            connection = listener.accept()[0]
            connection.recv(99)
            connection.sendall(said)
            connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        monkeypatch.setenv("all_proxy", f"socks5://127.0.0.1:{listener.getsockname()[1]}")
        code, _, err = call(server, *ONE, "--server", "http://gpu.example.org")
    assert code == 1
    assert "No ComfyUI answers at http://gpu.example.org (through the proxy socks5://127.0.0.1:" in err
    assert len(err.splitlines()) == 1


# ---- addresses, logins and redirects


@pytest.mark.parametrize("more", ["/#my-workflow", "/?", "/", "//", "?#"])
def test_what_a_browsers_address_has_behind_it(more, folder, server):
    code, _, err = call(server, *ONE, "--server", server.url + more)
    assert code == 0, err
    assert json.loads(Path("output/manifest.json").read_text())["server"] == server.url


GIVEN = {
    "in the address": (["--server", "{url}/?token=" + KEY], {}, lambda path, headers: f"token={KEY}" in path),
    "a login": (["--server", "http://me:" + KEY + "@{at}"], {}, lambda path, headers: basic(headers)),
    "a token": ([], {"SVD_NODES_TOKEN": KEY + "\n"}, lambda path, headers: headers.get("Authorization") == BEARER),
    "a header": (["--header", "X-Key: " + KEY], {}, lambda path, headers: headers.get("X-Key") == KEY),
    "a header before a token": (
        ["--header", "authorization:Bearer " + KEY, "--header", "X-More: 1"],
        {"SVD_NODES_TOKEN": "another"},
        lambda path, headers: headers.get("authorization") == BEARER and headers["X-More"] == "1",
    ),
    "a login before a token": (
        ["--server", "http://me:" + KEY + "@{at}"],
        {"SVD_NODES_TOKEN": "another"},
        lambda path, headers: basic(headers),
    ),
}
BEARER = f"Bearer {KEY}"


def basic(headers):
    return headers.get("Authorization") == "Basic " + base64.b64encode(f"me:{KEY}".encode()).decode()


def told(server, kind, monkeypatch):
    words, environment, sent = GIVEN[kind]
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return [word.format(url=server.url, at=urlsplit(server.url).netloc) for word in words], sent


@pytest.mark.parametrize("kind", GIVEN)
def test_what_only_the_server_may_hear(kind, folder, server, monkeypatch):
    words, sent = told(server, kind, monkeypatch)
    code, out, err = call(server, *ONE, *words)
    assert code == 0, err
    assert {urlsplit(path).path.split("/")[1] for path, _ in server.requests} > {"ws", "prompt", "view", "history"}
    for path, headers in server.requests:
        assert sent(path, headers), path
        assert "Origin" not in headers
    assert KEY not in out + err + Path("output/manifest.json").read_text()
    assert base64.b64encode(f"me:{KEY}".encode()).decode() not in Path("output/manifest.json").read_text()


@pytest.mark.parametrize("kind", GIVEN)
@pytest.mark.parametrize("path", ["object_info", "upload", "prompt", "queue"])
def test_a_server_that_repeats_what_it_heard(path, kind, folder, server, monkeypatch):
    words, _ = told(server, kind, monkeypatch)
    page = f"<p>Not found: /x?token={KEY} Basic {base64.b64encode(f'me:{KEY}'.encode()).decode()} {KEY}</p>"
    server.odd = {path: (page.encode(), 500)}
    code, out, err = call(server, *ONE, *words)
    assert code == 1
    assert "***" in err
    assert KEY not in out + err
    if Path("output").exists():
        assert KEY not in Path("output/manifest.json").read_text()


LEADING_AWAY = [
    *((path, 302, "a token") for path in ("object_info", "upload", "prompt", "queue", "history", "view")),
    *(("object_info", status, "in the address") for status in (301, 303, 307, 308)),
    *(("ws", 302, kind) for kind in GIVEN),
    *(("ws", status, "a login") for status in (301, 303, 307, 308)),
]


@pytest.mark.parametrize(("path", "status", "kind"), LEADING_AWAY)
def test_a_redirect_to_another_host_carries_nothing_there(path, status, kind, folder, server, monkeypatch):
    words, _ = told(server, kind, monkeypatch)
    with thief() as (there, asked):

        def edit(head):
            if path_of(head).split("/")[1] == path:
                return answer(f"{status} Gone", b"", f"Location: {there}{head.split()[1]}")
            return without_keep_alive(head)

        with passed_on(server.port, edit) as port:
            at = f"127.0.0.1:{port}"
            words = [word.replace(urlsplit(server.url).netloc, at) for word in words]
            code, out, err = call(server, *ONE, *words, *([] if "--server" in words else ["--server", f"http://{at}"]))
    assert not asked
    assert KEY not in out + err
    assert code == (0 if path == "ws" else 1), err
    assert path == "ws" or there in err


@pytest.mark.parametrize("secret", [False, True])
def test_a_page_that_has_moved_on_its_host(secret, folder, server, monkeypatch):
    """To another port it is followed, but what is told to this port alone is not told there."""

    def edit(head):
        return answer("301 Moved", b"", f"Location: {server.url}{head.split()[1]}")

    if secret:
        monkeypatch.setenv("SVD_NODES_TOKEN", KEY)
    with passed_on(server.port, edit) as port:
        code, _, err = call(server, *ONE, "--server", f"http://127.0.0.1:{port}")
    if secret:
        assert code == 1
        assert f"has moved to {server.url}; if that is yours, give it with --server" in err
        assert not server.requests
    else:
        assert code == 0, err
        assert json.loads(Path("output/manifest.json").read_text())["server"] == server.url


@pytest.mark.parametrize("which", ["/object_info", "/"])
def test_an_editor_in_a_folder_of_its_host(which, folder, server, monkeypatch):
    """As it is reached under a path, and the address without it leads there."""
    monkeypatch.setenv("SVD_NODES_TOKEN", KEY)

    def edit(head):
        path = path_of(head)
        if path.startswith("/comfy/"):
            return without_keep_alive(head.replace("/comfy/", "/", 1))
        if path == which:
            return answer("302 Found", b"", f"Location: /comfy{path}")
        return answer("404 Not Found")

    with passed_on(server.port, edit) as port:
        code, _, err = call(server, *ONE, "--server", f"http://127.0.0.1:{port}")
    assert code == 0, err
    assert json.loads(Path("output/manifest.json").read_text())["server"] == f"http://127.0.0.1:{port}/comfy"


@pytest.mark.parametrize(
    "location",
    ["", "//", "http://", "http://[::1", "\x1b[2J", "javascript:x", "https:///object_info", "/object_info", "/login"],
)
def test_a_redirect_that_leads_nowhere(location, folder, server):
    with listening(lambda c, head: c.sendall(answer("302 Found", b"", f"Location: {location}"))) as port:
        code, out, err = call(server, *ONE, "--server", f"http://127.0.0.1:{port}")
    assert (code, out) == (1, "")
    assert len(err.splitlines()) == 1
    assert "\x1b" not in err


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--header", KEY], 'A --header is not of the form "NAME: VALUE"'),
        (["--header", f"X Key: {KEY}"], 'A --header is not of the form "NAME: VALUE"'),
        (["--header", f"X-Key: {KEY}\r\nHost: x"], '"--header X-Key" holds characters that no header can have'),
        (["--header", f"X-Key: {KEY}ü"], '"--header X-Key" holds characters'),
        (["--header", f"Host: {KEY}"], '"--header Host": the requests themselves set this one'),
        (["--header", f"sec-websocket-key: {KEY}"], "the requests themselves set this one"),
        (["--server", f"ftp://me:{KEY}@here/?token={KEY}"], '"--server ftp://here/" is no address'),
        (["--server", f"me:{KEY}@here:port"], '"--server here:port" is no address'),
        (["--server", "http://" + "a" * 99], "is no address"),
        (["--server", "http://a b"], "is no address"),
        (["--ca", "none.pem"], '"--ca none.pem": there is no such file.'),
        (["--ca", "a.png"], '"--ca a.png" holds no certificates'),
        (["--ca", "text.pem"], '"--ca text.pem" holds no certificates'),
        (["--ca", "."], '"--ca .": there is no such file.'),
    ],
)
def test_bad_input(words, what, folder, server):
    Path("text.pem").write_text("-----BEGIN CERTIFICATE-----\nx\n")
    code, out, err = call(server, *ONE, *words)
    assert (code, out) == (2, ""), err
    assert what in err
    assert KEY not in err
    assert not server.requests


def test_a_token_of_two_lines(folder, server, monkeypatch):
    monkeypatch.setenv("SVD_NODES_TOKEN", f"{KEY}\nX: y")
    code, _, err = call(server, *ONE)
    assert code == 2
    assert '"$SVD_NODES_TOKEN" holds characters that no header can have' in err
    assert KEY not in err


# ---- certificates


@contextmanager
def over_tls(server, name):
    """The stand-in behind TLS, with a certificate of its own for `name`; yields port and certificate."""
    openssl = shutil.which("openssl") or pytest.skip("openssl is not installed")
    names = f"subjectAltName={name}"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", "key.pem", "-out", "own.pem", "-days", "2", "-subj", "/CN=own", "-addext", names]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("own.pem", "key.pem")
    server._http.socket = context.wrap_socket(server._http.socket, server_side=True, do_handshake_on_connect=False)
    yield f"https://127.0.0.1:{server.port}"


def test_a_certificate_of_ones_own(folder, server, monkeypatch):
    with over_tls(server, "IP:127.0.0.1") as url:
        code, _, err = call(server, *ONE, "--server", url)
        assert code == 1
        assert f"The certificate of {url} is not trusted (self" in err
        assert "--ca FILE or in $SSL_CERT_FILE" in err
        assert not server.requests
        der = ssl.PEM_cert_to_DER_cert(Path("own.pem").read_text())
        Path("own.cer").write_bytes(der)
        for number, file in enumerate(("own.pem", "own.cer")):
            code, _, err = call(server, *ONE, "--server", url, "--ca", file, "--output", str(number))
            assert code == 0, err
            assert "sends no messages" not in err
        monkeypatch.setenv("SSL_CERT_FILE", "own.pem")
        code, _, err = call(server, *ONE, "--server", url)
        assert code == 0, err


def test_a_certificate_of_another_name(folder, server):
    with over_tls(server, "DNS:gpu.example.org") as url:
        code, _, err = call(server, *ONE, "--server", url, "--ca", "own.pem")
    assert code == 1
    assert "give the address with the name that it was made for" in err


def test_http_and_https_taken_for_each_other(folder, server):
    code, _, err = call(server, *ONE, "--server", server.url.replace("http", "https"))
    assert code == 1
    assert len(err.splitlines()) == 1
    assert "No ComfyUI answers at https://" in err


# ---- a real reverse proxy


SITES = {
    "as the editor's own pages advise": (
        "location / {{ proxy_pass {url}; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;"
        " proxy_set_header Connection upgrade; proxy_set_header Host $host; }}",
        "",
        True,
    ),
    "a host of its own": (
        "location / {{ proxy_pass {url}; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;"
        " proxy_set_header Connection upgrade; proxy_set_header Host 127.0.0.1; }}",
        "",
        True,
    ),
    "without a WebSocket": ("location / {{ proxy_pass {url}; }}", "", False),
    "a folder, and a redirect to it": (
        "location /comfy/ {{ proxy_pass {url}/; }} location = / {{ return 302 /comfy/; }}",
        "",
        False,
    ),
    "a token": (
        'location / {{ if ($arg_token != "Geheim-4711") {{ return 401; }} proxy_pass {url}; }}',
        f"/?token={KEY}",
        False,
    ),
    "packed": ("location / {{ gzip on; gzip_types *; gzip_proxied any; proxy_pass {url}; }}", "", False),
}


@contextmanager
def nginx(site):
    program = shutil.which("nginx") or shutil.which("/usr/sbin/nginx") or pytest.skip("nginx is not installed")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    home = Path("nginx").resolve()
    home.mkdir()
    temporary = " ".join(f"{kind}_temp_path {home}/{kind};" for kind in ("client_body", "proxy", "fastcgi"))
    temporary += "".join(f" {kind}_temp_path {home}/{kind};" for kind in ("uwsgi", "scgi"))
    (home / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {home}/pid; error_log {home}/error.log;\n"
        f"events {{}}\nhttp {{ access_log off; {temporary}\n"
        f"server {{ listen 127.0.0.1:{port}; absolute_redirect off; {site} }} }}\n"
    )
    command = [program, "-p", str(home), "-c", str(home / "nginx.conf"), "-e", str(home / "error.log")]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        until(lambda: reached(port) or process.poll() is not None)
        assert process.poll() is None, (home / "error.log").read_text()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@pytest.mark.parametrize("kind", SITES)
def test_behind_nginx(kind, folder, server, monkeypatch):
    site, more, messages = SITES[kind]
    with nginx(site.format(url=server.url)) as url:
        code, out, err = call(server, *ONE, "--server", url + more)
    assert code == 0, err
    assert ("sends no messages" in err) is not messages
    assert KEY not in out + err
    assert_whole(server, 1)


# ---- servers that lie, drip and flood


def drip(connection, head):
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    for _ in range(200):
        time.sleep(0.1)
        connection.sendall(b"X: y\r\n")


def continues(connection, head):
    for _ in range(200):
        time.sleep(0.1)
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")


def slow_body(connection, head):
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(200):
        time.sleep(0.1)
        connection.sendall(b"1\r\n{\r\n")


def silent(connection, head):
    connection.settimeout(20)
    connection.recv(1)


@pytest.mark.parametrize("serve", [drip, continues, slow_body, silent])
def test_no_answer_takes_longer_than_its_deadline(serve, folder, server, monkeypatch):
    monkeypatch.setattr(session, "TIMING", Timing(limits=QUICK))
    with listening(serve) as port:
        code, _, err = call(server, *ONE, "--server", f"http://127.0.0.1:{port}")
    assert code == 1
    assert "(no whole answer in 1.5 s)" in err
    assert len(err.splitlines()) == 1


BOMB = gzip.compress(b"[" * (64 << 20))
LARGE = {
    "packed": (answer("200 OK", BOMB, "Content-Encoding: gzip"), "with more than 1,048,576 bytes"),
    "twice packed": (
        answer("200 OK", gzip.compress(BOMB), "Content-Encoding: gzip, gzip"),
        "packed its answer to /object_info wrongly",
    ),
    "by another program": (answer("200 OK", BOMB, "Content-Encoding: br"), "packed its answer to /object_info wrongly"),
    "not packed": (answer("200 OK", b"{}", "Content-Encoding: gzip"), "packed its answer to /object_info wrongly"),
    "half packed": (answer("200 OK", gzip.compress(b"[" * 99)[:-9], "Content-Encoding: gzip"), "broke off"),
    "large": (answer("200 OK", b" " * (2 << 20)), "with more than 1,048,576 bytes"),
    "deep": (answer("200 OK", b"[" * 500_000), "is no ComfyUI"),
    "wide": (answer("200 OK", b'{"a":[' + b"[]," * 300_000 + b"[]]}"), "is no ComfyUI"),
    "long numbers": (answer("200 OK", b"9" * 100_000), "is no ComfyUI"),
}


@pytest.mark.parametrize("kind", LARGE)
def test_no_answer_is_larger_than_it_may_be(kind, folder, server, monkeypatch):
    monkeypatch.setattr(session, "TIMING", Timing(limits=QUICK))
    reply, what = LARGE[kind]
    with listening(lambda connection, head: connection.sendall(reply)) as port:
        code, _, err = call(server, *ONE, "--server", f"http://127.0.0.1:{port}")
    assert code in (1, 2)
    assert what in err
    assert len(err) < 500
    assert len(err.splitlines()) == 1


def test_a_film_is_taken_up_to_its_limit_and_unpacked(folder, server, monkeypatch):
    monkeypatch.setattr(session, "TIMING", Timing(pause=0.05, ask_every=0.1, limits=replace(QUICK, file_bytes=9999)))
    monkeypatch.setattr(stand_in_module, "film", lambda name: film(name + "x" * 20_000))
    code, _, err = call(server, *ONE)
    assert code == 1
    assert "answered /view with more than 9,999 bytes" in err
    assert not list(Path("output").glob(".svd*"))
    monkeypatch.setattr(session, "TIMING", Timing())
    assert call(server, *ONE, "--resume")[0] == 0
    assert_whole(server, 1)


@pytest.mark.parametrize("charset", ["hex", "idna", "utf-32", "rot13", "punycode", "\x1b[2J", "utf-8; charset=hex"])
@pytest.mark.parametrize("path", ["object_info", "upload", "queue"])
def test_an_error_page_of_an_odd_charset(charset, path, folder, server):
    page = answer("500 Oops", b"<p>Out of \x1b[31m\xff luck</p>", f"Content-Type: text/html; charset={charset}")

    def edit(head):
        return page if path_of(head).split("/")[1] == path else without_keep_alive(head)

    with passed_on(server.port, edit) as port:
        code, _, err = call(server, *ONE, "--server", f"http://127.0.0.1:{port}")
    assert code == 1
    assert "Out of [31m" in err
    assert "\x1b" not in err


ODD = [[], {}, "x", 5, None, True, [[]], [None], {"a": []}, "\x1b[2J", 1e999]


@pytest.mark.parametrize(
    "part", ["node", "input", "required", "spec", "type", "options", "output", "display_name", "min"]
)
def test_lists_where_maps_belong(part, folder, server, monkeypatch):
    whole = json.dumps(stand_in_module.INFOS)
    for odd in ODD:
        infos = json.loads(whole)
        kind = infos["StableVideoSample"]
        frames = kind["input"]["required"]["frames"]
        match part:
            case "node":
                infos["StableVideoSample"] = odd
            case "input" | "output" | "display_name":
                kind[part] = odd
            case "required":
                kind["input"]["required"] = odd
            case "spec":
                kind["input"]["required"]["frames"] = odd
            case "type":
                frames[0] = odd
            case "options":
                frames[1] = odd
            case "min":
                frames[1]["min"] = odd
        monkeypatch.setattr(stand_in_module, "INFOS", infos)
        code, _, err = call(server, *ONE, "--output", f"o{ODD.index(odd)}")
        assert code in (0, 1, 2)
        assert "\x1b" not in err
        assert code == 0 or len([line for line in err.splitlines() if line.startswith(("bad", "failed"))]) == 1


def test_names_that_would_steer_the_terminal(folder, server, monkeypatch):
    infos = json.loads(json.dumps(stand_in_module.INFOS))
    infos["StableVideoLoadCheckpoint"]["input"]["required"]["checkpoint"][1]["options"] = ["\x1b]0;a\x07b\u202ec"]
    monkeypatch.setattr(stand_in_module, "INFOS", infos)
    code, _, err = call(server, *ONE)
    assert code == 2
    assert "]0;abc" in err
    assert not any(c in err for c in "\x1b\x07\u202e")


@pytest.mark.parametrize("colours", ["", "1"])
def test_a_title_that_would_steer_the_terminal(colours, folder, server, monkeypatch):
    if colours:
        monkeypatch.setenv("FORCE_COLOR", colours)
    prompt = json.loads((WORKFLOWS / "api" / "quickstart.json").read_text())
    prompt["8"]["_meta"] = {"title": "\x1b]0;stolen\x07[red]title"}
    Path("quickstart").write_text(json.dumps(prompt))
    shutil.copy("a.png", "\x1b]0;stolen\x07.png")
    server.fails_on = {1}
    code, out, err = call(server, "--image", "\x1b]0;stolen\x07.png", "--seeds", "1-2")
    assert code == 1
    assert "[red]title" in err
    assert "\x1b]" not in out + err
    assert "\x07" not in out + err


@pytest.mark.parametrize("frames", ["drips", "large", "odd", "many", "closed", "wrong key"])
def test_messages_that_are_none(frames, folder, server, monkeypatch):
    """Whatever the WebSocket does, the clip comes home."""

    def upgrade(connection, head):
        key = next(line.split()[1] for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
        digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        accept = base64.b64encode(digest if frames != "wrong key" else b"x" * 20).decode()
        lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
        connection.sendall("\r\n".join([*lines, f"Sec-WebSocket-Accept: {accept}", "", ""]).encode())
        match frames:
            case "drips":
                for _ in range(50):
                    connection.sendall(b"\x81")
                    time.sleep(0.05)
            case "large":
                connection.sendall(b"\x81\x7f" + (1 << 62).to_bytes(8, "big"))
                while True:
                    connection.sendall(b"x" * 65536)
            case "odd":
                connection.sendall(b"\xff" * 99)
            case "many":
                while True:
                    connection.sendall(b"\x81\x02[]\x89\x00\x82\x01x")

    def serve(connection, data):
        if path_of(data.decode("latin-1")) == "/ws":
            upgrade(connection, data)
            return
        with socket.create_connection(("127.0.0.1", server.port)) as behind:
            behind.sendall(without_keep_alive(data.partition(b"\r\n\r\n")[0].decode("latin-1")).encode("latin-1"))
            behind.sendall(b"\r\n\r\n" + data.partition(b"\r\n\r\n")[2])
            threading.Thread(target=pump, args=(connection, behind), daemon=True).start()
            pump(behind, connection)

    monkeypatch.setattr(session, "TIMING", Timing(pause=0.05, ask_every=0.1, look_every=0.2))
    with listening(serve) as port:
        code, _, err = call(server, *ONE, "--server", f"http://127.0.0.1:{port}")
    assert code == 0, err
    assert_whole(server, 1)


# ---- what is kept, and under which name


def test_files_planted_in_the_output_folder_are_not_written_through(folder, server):
    Path("mine").write_text("mine")
    Path("output").mkdir()
    for name in (".a_seed1.mp4.part", ".manifest.json.part", "a_seed1.mp4"):
        Path("output", name).symlink_to(Path("mine").resolve())
    code, out, err = call(server, *ONE)
    assert code == 0, err
    assert Path("mine").read_text() == "mine"
    assert out.strip() == "output/a_seed1_00001_.mp4"
    os.remove("output/manifest.json")
    Path("output/.manifest.json.lock").unlink()
    Path("output/.manifest.json.lock").symlink_to(Path("mine").resolve())
    call(server, *ONE)
    assert Path("mine").read_text() == "mine"


def test_what_a_killed_client_left_half_written_goes(folder, server):
    Path("output").mkdir()
    Path("mine").write_text("mine")
    left = Path("output/.svd-queue-0123456789abcdef.part")
    left.write_text("half")
    link = Path("output/.svd-queue-0123456789abcde0.part")
    link.symlink_to(Path("mine").resolve())
    others = Path("output/.x.part")
    others.write_text("not ours")
    assert call(server, *ONE)[0] == 0
    assert (left.exists(), link.is_symlink(), others.exists()) == (False, True, True)


@pytest.mark.parametrize(("name", "ours"), [("a.exe", "a_seed1.mp4"), ("a.html", "a_seed1.mp4"), ("a", "a_seed1.mp4")])
def test_a_films_ending_is_ours(name, ours, folder, server, monkeypatch):
    server.files[f"/{name}"] = film("x")
    monkeypatch.setattr(server, "_save", lambda node: [{"filename": name, "subfolder": "", "type": "output"}])
    code, out, err = call(server, *ONE)
    assert code == 0, err
    assert out.strip() == f"output/{ours}"


def test_a_program_in_a_films_place(folder, server, monkeypatch):
    server.files["/a.exe"] = b"MZ\x90\0"
    monkeypatch.setattr(server, "_save", lambda node: [{"filename": "a.exe", "subfolder": "", "type": "output"}])
    code, out, err = call(server, *ONE)
    assert code == 0, err
    assert out.strip() == "output/a_seed1.bin"


# ---- what the server lost, or spells otherwise


def two_outputs():
    prompt = json.loads((WORKFLOWS / "api" / "quickstart.json").read_text())
    prompt["50"] = {
        "class_type": "SaveImage",
        "inputs": {"images": ["9", 0], "filename_prefix": "frames"},
        "_meta": {"title": "Every frame"},
    }
    Path("quickstart").write_text(json.dumps(prompt))


REFUSAL = {"message": "Value not in list", "details": "x", "extra_info": {"input_name": "images"}}


@pytest.mark.parametrize("how", ["refused", "killed after it was refused", "forgotten"])
def test_an_output_that_is_lost(how, folder, server):
    two_outputs()
    if how == "forgotten":
        server.forgets = {"50"}
    else:
        server.refuses_outputs = {"50": REFUSAL}
    if how.startswith("killed"):
        server.allowed = 0
        process = client(server, *ONE)
        until(lambda: server.prompts and json.loads(Path("output/manifest.json").read_text())["jobs"][0]["error"])
        process.kill()
        process.communicate()
        server.allowed = None
        code, out, err = call(server, *ONE, "--resume")
    else:
        code, out, err = call(server, *ONE)
    assert (code, out) == (1, "output/a_seed1.mp4\n")
    what = "kept nothing" if how == "forgotten" else ": images: Value not in list (x)."
    assert f'a_seed1: Node 50 "Every frame"{" " * (how == "forgotten")}{what}' in err
    assert [job["state"] for job in records()] == ["failed"]
    server.refuses_outputs, server.forgets = {}, set()
    code, out, err = call(server, *ONE, "--resume")
    assert code == 0, err
    assert out.split() == ["output/a_seed1.mp4", "output/a_seed1_00002.png", "output/a_seed1_00003.png"]
    assert dict(server.saved) == {"11": 1, "50": 1}  # the film was not made again
    assert [job["state"] for job in records()] == ["done"]


def test_an_output_that_is_lost_for_good_and_a_film_that_goes(folder, server):
    two_outputs()
    server.refuses_outputs = {"50": REFUSAL}
    assert call(server, *ONE)[0] == 1
    code, out, err = call(server, *ONE, "--resume")
    assert (code, out) == (1, "output/a_seed1.mp4\n")
    assert "Value not in list" in err
    os.remove("output/a_seed1.mp4")
    server.refuses_outputs = {}
    code, out, err = call(server, *ONE, "--resume")
    assert code == 0, err
    assert len(out.split()) == 3
    assert all(Path(name).exists() for name in out.split())


def test_what_was_made_before_a_failure_comes_home(folder, server, monkeypatch):
    two_outputs()
    end = server._end

    def fails(job, kind, data, outputs=None):
        error = {"node_id": "50", "node_type": "SaveImage", "exception_message": "No room."}
        end(job, "execution_error", error, {id: files for id, files in (outputs or {}).items() if id != "50"})

    with monkeypatch.context() as patch:
        patch.setattr(server, "_end", fails)
        code, out, err = call(server, *ONE)
    assert (code, out) == (1, "output/a_seed1.mp4\n")
    assert 'a_seed1: node 50 "Every frame": No room.' in err
    code, out, err = call(server, *ONE, "--resume")
    assert code == 0, err
    assert len(out.split()) == 3
    assert dict(server.saved) == {"11": 1, "50": 2}


@pytest.mark.parametrize(
    ("there", "asked", "code"),
    [
        (["svd/nano.safetensors"], "svd\\nano.safetensors", 0),
        (["svd\\nano.safetensors"], "svd/nano.safetensors", 0),
        (["a\\b\\nano.safetensors", "x"], "a/b\\nano.safetensors", 0),
        (["svd\\nano.safetensors"], "./svd//nano.safetensors", 0),
        (["svd\\nano.safetensors", "svd/nano.safetensors"], "svd\\\\nano.safetensors", 2),
        (["svd/nano.safetensors"], "SVD\\nano.safetensors", 2),
    ],
)
@pytest.mark.parametrize("where", ["--set", "the workflow"])
def test_names_with_the_other_slash(where, there, asked, code, folder, server, monkeypatch):
    infos = json.loads(json.dumps(stand_in_module.INFOS))
    infos["StableVideoLoadCheckpoint"]["input"]["required"]["checkpoint"][1]["options"] = there
    monkeypatch.setattr(stand_in_module, "INFOS", infos)
    words = ["--set", f"StableVideoLoadCheckpoint.checkpoint={asked}"]
    if where != "--set":
        prompt = json.loads((WORKFLOWS / "api" / "quickstart.json").read_text())
        prompt["1"]["inputs"]["checkpoint"], words = asked, []
        Path("quickstart").write_text(json.dumps(prompt))
    found, _, err = call(server, *ONE, *words)
    assert found == code, err
    assert code or next(iter(server.prompts.values()))["1"]["inputs"]["checkpoint"] == there[0]


def test_what_the_server_noted_in_a_workflow_is_left_out(folder, server):
    prompt = json.loads((WORKFLOWS / "api" / "quickstart.json").read_text())
    for number, note in enumerate(([float("nan")], float("inf"), "/home/me/svd.safetensors")):
        prompt["1"]["is_changed"] = note
        Path("quickstart").write_text(json.dumps(prompt))
        code, _, err = call(server, *ONE, "--output", str(number))
        assert code == 0, err
    assert all("is_changed" not in sent["1"] for sent in server.prompts.values())
    prompt["5"]["inputs"]["noise_aug_strength"] = float("nan")
    Path("quickstart").write_text(json.dumps(prompt))
    code, _, err = call(server, *ONE, "--output", "9")
    assert code == 2
    assert 'Node 5 "SVD VAE Encode" holds a number that is none (NaN or infinity)' in err


def test_a_log_says_what_is_waited_for(folder, server):
    prompt = json.loads((WORKFLOWS / "api" / "quickstart.json").read_text())
    server.allowed = 0
    for id in ("x1", "x2"):
        server.put(id, prompt, "another")
    end = start(server, *ONE)
    until(lambda: len(server.prompts) == 3)
    time.sleep(0.3)
    server.allowed = 1
    until(lambda: "x1" in server.history)
    time.sleep(0.3)
    server.allowed = None
    code, _, err = end()
    assert code == 0, err
    lines = err.splitlines()
    assert lines[0] == "waiting: 2 jobs before yours"
    assert lines[1:] == ["waiting: 1 job before yours", "1/1  a_seed1  begun", "1/1  a_seed1  done in 2.5 s"]


def test_a_connection_that_some_proxy_ends_now_and_then_is_not_told_of(folder, server):
    server.allowed = 3
    end = start(server, *EIGHT)
    until_held(server, 3)
    for _ in range(3):
        server.cut()
        time.sleep(0.2)
    server.allowed = None
    code, _, err = end()
    assert code == 0, err
    assert "away" not in err
    assert_whole(server)


@pytest.mark.parametrize("name", ["bad.avif", "bad.dds", "bad.tga", "bad.ico", "bad.pcx"])
def test_pictures_that_pillow_stumbles_over(name, folder, server):
    kind = name.split(".")[1]
    try:
        Image.new("RGB", (64, 64), "red").save(name)
    except (KeyError, OSError, ValueError):
        pytest.skip(f"Pillow writes no {kind} here")
    data = Path(name).read_bytes()
    for place in range(4, len(data), max(1, len(data) // 12)):
        Path(name).write_bytes(data[:place] + b"\xff\xff\xff\xff" + data[place + 4 :])
        code, _, err = call(server, "--image", name, "--server", "http://127.0.0.1:9")
        assert code in (1, 2)
        assert len(err.splitlines()) == 1


def test_the_readmes_lines_pass_a_proxy_by(folder, server):
    lines = page_lines(server.url).replace("range(1, 9)", "range(1, 2)").replace("sleep(1)", "sleep(0.01)")
    around = os.environ | {"http_proxy": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9", "all_proxy": "x:9"}
    subprocess.run([sys.executable, "-I", "-c", lines], check=True, timeout=120, env=around)
    assert {"a_seed1.mp4", "b_seed1.mp4"} < set(os.listdir())


def test_the_readmes_lines_tell_of_a_lost_output(folder, server):
    two_outputs()
    server.refuses_outputs = {"50": REFUSAL}
    lines = page_lines(server.url).replace(str(WORKFLOWS / "api" / "quickstart.json"), "quickstart")
    done = subprocess.run([sys.executable, "-I", "-c", lines], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "Value not in list" in done.stderr
