"""A server that lies: `svd-nodes queue` against answers that are changed at random, over HTTP and its WebSocket.

python -m svd_nodes.tests.fuzz.server [--count 200] [--seed 0]

Every round has a stand-in of its own, whose answers are mutated now and then: status, headers, lengths, charsets,
shapes, nesting, sizes, pace; and some lead to another host. Whatever it does, the command ends in a sentence or a clip:
within a bounded time, with no traceback, no character that steers a terminal, and no word to the other host. Where
memory can be limited, it is.
"""

import argparse
import contextlib
import gzip
import io
import json
import os
import random
import socket
import struct
import sys
import tempfile
import threading
import time
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import typer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the stand-in and its files import each other plainly

import stand_in
from tiny_files import picture

from svd_nodes.headless.queue.limits import Limits
from svd_nodes.headless.queue.session import Options, start
from svd_nodes.headless.queue.timing import Timing
from svd_nodes.headless.sentences import sentences

KEY = "Geheim-4711"
LONGEST = 25.0  # seconds of a round
MEMORY = 4 << 30  # bytes of address space above what the program has at its start
LIMITS = Limits(connect=1, answer=0.6, rate=1 << 20, answer_bytes=1 << 21, queue_bytes=1 << 21, file_bytes=1 << 20)
TIMING = Timing(look_every=0.3, ask_every=0.1, pause=0.05, stopping=0.2, limits=LIMITS)
SPITE = f"\x1b]0;stolen\x07 \u202e token={KEY}"  # words that steer, and tell what was heard
SCALARS = [None, True, 0, -1, 1e308, 10**400, float("nan"), "", "\x1b]0;x\x07", "\ud800", "\u202e", "x" * 5000, [], {}]
STATUSES = [
    100,
    200,
    201,
    204,
    206,
    301,
    302,
    307,
    308,
    304,
    400,
    401,
    403,
    404,
    405,
    407,
    413,
    429,
    500,
    502,
    503,
    599,
]
HEADERS = [
    *("Content-Type: text/html; charset=hex", "Content-Type: x; charset=idna", "Content-Encoding: gzip"),
    *("Content-Encoding: br", "Content-Encoding: deflate, gzip", "Transfer-Encoding: chunked", "Content-Length: -1"),
    *("Content-Length: 99999999999999999999", "Set-Cookie: a=b", "Location: //", "Location: /", "X: \x1b[2J"),
    *("Connection: upgrade", "Upgrade: websocket", "Location: http://[::1", "Retry-After: 1e9", f"X: {'y' * 70000}"),
]


class Liar:
    """How one round lies: `rate` of the answers are changed, by its own random numbers."""

    def __init__(self, seed: int, elsewhere: str) -> None:
        self.random, self.elsewhere = random.Random(seed), elsewhere
        self.rate = self.random.choice([0.03, 0.1, 0.3, 0.8])
        self._lock = threading.Lock()

    def lies(self) -> bool:
        with self._lock:
            return self.random.random() < self.rate

    def answer(self, body: bytes, status: int, path: str) -> list[bytes]:
        """The pieces of an answer, which are sent with a pause between them."""
        with self._lock:
            pick = self.random
            body = pick.choice([self._shapes, self._bytes, lambda b: b, self._deep, self._repeats])(body)
            headers, status = [f"Content-Length: {len(body)}"], pick.choice([status, status, pick.choice(STATUSES)])
            kind = pick.randrange(9)
            if kind == 8:
                status, body = 400, json.dumps({"error": {"message": SPITE, "details": SPITE}}).encode()
                headers = [f"Content-Length: {len(body)}"]
            elif kind == 0:
                headers.append(pick.choice(HEADERS))
            elif kind == 1:
                headers = [pick.choice(HEADERS)]
            elif kind == 2:
                status = pick.choice([301, 302, 303, 307, 308])
                headers.append(f"Location: {self.elsewhere}{path}")
            elif kind == 3:
                body = gzip.compress(body + b" " * pick.choice([0, 1 << 24]))
                headers = [f"Content-Length: {len(body)}", "Content-Encoding: gzip"]
            elif kind == 4:
                body = body[: pick.randrange(len(body) + 1)]
            start = f"HTTP/1.1 {status} {pick.choice(['OK', '', chr(27) + '[2J'])}"
            whole = "\r\n".join([start, *headers, "Connection: close", "", ""]).encode("latin-1") + body
            if kind == 5:
                whole = self._bytes(whole)
            if kind == 6:
                return [whole[at : at + 7] for at in range(0, min(len(whole), 210), 7)]
            return [whole]

    def frame(self, text: bytes) -> bytes:
        with self._lock:
            pick = self.random
            kind = pick.randrange(5)
            if kind == 0:
                return self._bytes(text)
            if kind == 1:
                return bytes([pick.randrange(256), 127]) + struct.pack(">Q", pick.choice([1 << 62, 1 << 20])) + text
            if kind == 2:
                return pick.choice([b"\x88\x02\x03\xe8", b"\x89\x00", b"\x81\x00", b"\x01\x01{", b"\x82\x7e\xff\xff"])
            body = pick.choice([self._shapes, self._deep])(text)[:60_000]
            return b"\x81\x7e" + struct.pack(">H", len(body)) + body

    def _bytes(self, data: bytes) -> bytes:
        changed = bytearray(data)
        for _ in range(self.random.randrange(1, 9)):
            if changed:
                changed[self.random.randrange(len(changed))] = self.random.randrange(256)
        return bytes(changed)

    def _deep(self, body: bytes) -> bytes:
        return self.random.choice([b"[", b'{"a":', b"[[],"]) * self.random.choice([50, 900, 100_000])

    def _repeats(self, body: bytes) -> bytes:
        return body * self.random.choice([0, 2, 40])

    def _shapes(self, body: bytes) -> bytes:
        """The same JSON with values of other kinds in a few places."""
        try:
            tree = json.loads(body)
        except ValueError:
            return self._bytes(body)
        for _ in range(self.random.randrange(1, 4)):
            tree = self._changed(tree)
        return json.dumps(tree, ensure_ascii=True).encode()

    def _changed(self, tree: Any, depth: int = 0) -> Any:
        keys = list(tree) if isinstance(tree, dict) else list(range(len(tree))) if isinstance(tree, list) else []
        if not keys or self.random.random() < 0.12 + 0.05 * depth:
            return self.random.choice([*SCALARS, [tree], {"x": tree}, str(tree)[:99]])
        key = self.random.choice(keys)
        tree[key] = self._changed(tree[key], depth + 1)
        return tree


def handler(liar: Liar, server: stand_in.StandIn) -> type[BaseHTTPRequestHandler]:
    class Lying(stand_in._Handler):
        def reply(self, content: Any = b"", status: int = 200) -> None:
            if not liar.lies():
                super().reply(content, status)
                return
            body = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.close_connection = True
            with contextlib.suppress(OSError):
                for piece in liar.answer(body, status, self.path):
                    self.connection.sendall(piece)
                    time.sleep(0.0 if len(piece) != 7 else 0.1)

        def handle(self) -> None:
            with contextlib.suppress(OSError):
                super().handle()

    Lying.stand_in = server
    return Lying


@contextmanager
def other_host() -> Iterator[tuple[str, list[bytes]]]:
    """Yields its address, and what it heard."""
    heard: list[bytes] = []

    class Listening(BaseHTTPRequestHandler):
        def handle(self) -> None:
            heard.append(self.request.recv(65536))

    with ThreadingHTTPServer(("127.0.0.1", 0), Listening) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://localhost:{server.server_port}", heard
        server.shutdown()


@contextmanager
def lying(seed: int, elsewhere: str) -> Iterator[stand_in.StandIn]:
    liar = Liar(seed, elsewhere)
    with stand_in.stand_in() as server:
        plainly = server.tell

        def tell(client: str, kind: str, data: dict[str, Any]) -> None:
            if not liar.lies():
                plainly(client, kind, data)
            elif connection := server._sockets.get(client):
                with contextlib.suppress(OSError):
                    connection.sendall(liar.frame(json.dumps({"type": kind, "data": data}).encode()))

        plain_end = server._end

        def end(job: Any, kind: str, data: dict[str, Any], outputs: Any = None) -> None:
            if liar.lies():
                kind, data = "execution_error", {"node_id": SPITE, "node_type": SPITE, "exception_message": SPITE}
            plain_end(job, kind, data, outputs)

        server.tell, server._end = tell, end  # type: ignore[method-assign]
        server._http.RequestHandlerClass = handler(liar, server)
        yield server


def ask(url: str, folder: Path, resume: bool) -> tuple[int, str]:
    """Calls the command. Returns its exit code and all it printed."""
    options = Options(
        workflow=Path("quickstart"),
        server=f"{url}/?token={KEY}",
        images=[folder / "a.png"],
        seeds="1-2",
        output=folder / "output",
        resume=resume,
        patience=0.5,
        headers=[f"X-Key: {KEY}"],
        timing=TIMING,
    )
    printed, code = io.StringIO(), 0
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            with sentences(works_here=False):
                start(options)
        except typer.Exit as end:
            code = end.exit_code
    return code, printed.getvalue()


def round_of(seed: int) -> int:
    """One round, and its exit code. AssertionError, or whatever escapes the command, when it does not hold."""
    with tempfile.TemporaryDirectory() as name, other_host() as (elsewhere, heard):
        folder = Path(name)
        picture(folder / "a.png")
        with lying(seed, elsewhere) as server:
            for resume in (False, True):
                if resume and not (folder / "output" / "manifest.json").exists():
                    break
                began = time.monotonic()
                interrupt = threading.Timer(LONGEST, server.close)  # a job that is never done ends with its server
                interrupt.start()
                code, printed = ask(server.url, folder, resume)
                interrupt.cancel()
                assert time.monotonic() - began < 2 * LONGEST, "it took too long"
                assert code in (0, 1, 2), f"exit code {code}"
                steering = {c for c in printed if c != "\n" and unicodedata.category(c).startswith("C")}
                assert not steering, f"printed {steering!r}"
                assert KEY not in printed, "the key was shown"
                assert "Traceback" not in printed
                assert code == 0 or any(line.startswith(("failed", "bad input")) for line in printed.splitlines()), (
                    printed
                )
        assert not heard, f"another host heard {heard[0][:200]!r}"
        kept = {path.suffix for path in folder.glob("output/*") if path.name != "manifest.json"}
        assert kept <= {".mp4", ".bin", ".txt", ".json", ".png", ".lock"}, kept
        manifest = folder / "output" / "manifest.json"
        assert not manifest.exists() or KEY not in manifest.read_text(), "the key was kept"
        return code


def limit_memory() -> None:
    """So that what asks for too much fails by itself, on systems that can."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.RLIM_INFINITY))


def rounds(count: int, seed: int) -> dict[int, int]:
    """How often each exit code came. A failure names the seed of its round."""
    socket.setdefaulttimeout(30)
    codes: dict[int, int] = {}
    for number in range(seed, seed + count):
        try:
            code = round_of(number)
        except BaseException as error:
            error.add_note(f"python -m svd_nodes.tests.fuzz.server --count 1 --seed {number}")
            raise
        codes[code] = codes.get(code, 0) + 1
    return codes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200, help="rounds")
    parser.add_argument("--seed", type=int, default=0, help="of the first round; each has the next")
    asked = parser.parse_args()
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]
    limit_memory()
    codes = rounds(asked.count, asked.seed)
    print(", ".join(f"{count} rounds ended with {code}" for code, count in sorted(codes.items())))


if __name__ == "__main__":
    main()
