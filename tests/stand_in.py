"""A small stand-in for the editor's server: its queue, history, uploads, files and messages, with no networks in it.

It "renders" in no time, as many bytes as say what they were made of, and counts, so that tests can ask what was
rendered how often. It can be cut off, restarted (it then forgets queue and history, as the editor does), and told to
fail. Only what `svd-nodes queue` and the README's lines use is here.
"""

import base64
import hashlib
import io
import json
import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from PIL import Image
from PIL.PngImagePlugin import PngInfo
from tiny_files import ROOT

OWN = json.loads((ROOT / "tests" / "data" / "object_info.json").read_text())


def _info(inputs: dict[str, Any], is_output: bool = False, name: str = "") -> dict[str, Any]:
    return {"input": {"required": inputs}, "output": [], "display_name": name, "output_node": is_output}


OWN["StableVideoLoadCheckpoint"]["input"]["required"]["checkpoint"][1]["options"] = ["svd_nano.safetensors"]
INFOS = OWN | {
    "LoadImage": _info({"image": [["a.png"], {"image_upload": True}]}, name="Load Image"),
    "CreateVideo": _info({"images": ["IMAGE"], "fps": ["FLOAT", {"default": 30.0}]}, name="Create Video"),
    "SaveVideo": _info(
        {
            "video": ["VIDEO"],
            "filename_prefix": ["STRING", {"default": "video/ComfyUI"}],
            "format": ["COMBO", {"options": ["auto"]}],
            "codec": ["COMBO", {"options": ["auto"]}],
        },
        True,
        "Save Video",
    ),
    "SaveImage": _info({"images": ["IMAGE"], "filename_prefix": ["STRING", {}]}, True, "Save Image"),
}


def film(text: str) -> bytes:
    """An MP4 in outline: its three boxes, with the text inside."""
    boxes = ((b"ftyp", b"isom"), (b"mdat", text.encode()), (b"moov", b""))
    return b"".join(struct.pack(">I4s", 8 + len(content), kind) + content for kind, content in boxes)


def drawn(text: str) -> bytes:
    """A PNG with the text inside."""
    file, info = io.BytesIO(), PngInfo()
    info.add_text("name", text)
    Image.new("RGB", (4, 4)).save(file, "png", pnginfo=info)
    return file.getvalue()


class StandIn:
    """The server. `rendered` counts what was made, by (picture, seed), and `saved` how often each node kept something.

    host: where it listens.
    """

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.rendered: Counter[tuple[Any, Any]] = Counter()
        self.saved: Counter[str] = Counter()
        self.uploads: dict[str, bytes] = {}
        self.files: dict[str, bytes] = {}
        self.fails_on: set[int] = set()  # seeds
        self.refuses = False
        self.refuses_outputs: dict[str, Any] = {}  # a node's id to its fault: the rest of the workflow runs
        self.forgets: set[str] = set()  # nodes that keep nothing, without a word
        self.allowed: int | None = None  # so many are rendered, then what is queued waits
        self.away = False
        self.login = ""  # name:password that every request must bring
        self.odd: dict[str, tuple[bytes, int]] = {}  # what comes instead, by the first part of the path
        self.prompts: dict[str, Any] = {}
        self.outputs: dict[str, list[str]] = {}  # of each prompt, the nodes that are to keep something
        self.requests: list[tuple[str, dict[str, str]]] = []  # paths and headers of all that was asked
        self._sockets: dict[str, socket.socket] = {}
        self._lock = threading.RLock()
        self.restart()
        handler = type("Bound", (_Handler,), {"stand_in": self})
        self._http = ThreadingHTTPServer((host, 0), handler)
        self._http.daemon_threads = True
        self.port = self._http.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        threading.Thread(target=self._work, daemon=True).start()

    def restart(self) -> None:
        """As when the editor ends and starts again: queue and history are gone, files stay, connections break."""
        with self._lock:
            self.waiting: list[tuple[str, Any, str]] = []
            self.running: tuple[str, Any, str] | None = None
            self.history: dict[str, Any] = {}
        self.cut()

    def cut(self) -> None:
        """Breaks every connection for messages."""
        for connection in list(self._sockets.values()):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._sockets.clear()

    def connect(self, client: str, connection: socket.socket) -> None:
        self._sockets[client] = connection
        self.tell(client, "status", {"status": {"exec_info": {"queue_remaining": len(self.waiting)}}})

    def close(self) -> None:
        self._closed = True
        self.cut()
        self._http.shutdown()
        self._http.server_close()

    def put(self, prompt_id: str, prompt: Any, client: str, outputs: list[str] | None = None) -> None:
        with self._lock:
            self.prompts[prompt_id] = prompt
            every = [id for id, node in prompt.items() if "Save" in node["class_type"]]
            self.outputs[prompt_id] = every if outputs is None else outputs
            self.waiting.append((prompt_id, prompt, client))

    def queued(self, prompt_id: str, prompt: Any) -> list[Any]:
        """As the editor's queue and history have it: number, id, workflow, more data, nodes that keep something."""
        number = list(self.prompts).index(prompt_id)
        return [number, prompt_id, prompt, {}, self.outputs[prompt_id]]

    def delete(self, ids: list[str]) -> None:
        with self._lock:
            self.waiting = [item for item in self.waiting if item[0] not in ids]

    def interrupt(self, prompt_id: str) -> None:
        with self._lock:
            if self.running and self.running[0] == prompt_id:
                self._end(self.running, "execution_interrupted", {"node_id": "8", "node_type": "x"})

    _closed = False

    def _work(self) -> None:
        while not self._closed:
            time.sleep(0.002)
            with self._lock:
                if self.running is None and self.waiting:
                    self.running = self.waiting.pop(0)
            job = self.running
            if job and (self.allowed is None or sum(self.rendered.values()) < self.allowed):
                self._render(job)

    def _render(self, job: tuple[str, Any, str]) -> None:
        prompt_id, prompt, client = job
        kinds = {node["class_type"]: (id, node["inputs"]) for id, node in prompt.items()}
        sampler, inputs = kinds["StableVideoSample"]
        self.tell(client, "executing", {"node": sampler, "prompt_id": prompt_id})
        self.tell(client, "progress", {"value": 1, "max": 2, "node": sampler, "prompt_id": prompt_id})
        with self._lock:
            if self.running is not job:  # restarted or cancelled meanwhile
                return
            if inputs["seed"] in self.fails_on:
                error = {"node_id": sampler, "node_type": "StableVideoSample", "exception_message": "Too bright.\n"}
                self._end(job, "execution_error", error)
                return
            picture = self.uploads.get(kinds["LoadImage"][1]["image"])
            self.rendered[hashlib.sha256(picture or b"").hexdigest(), inputs["seed"]] += 1
            keeping = [id for id in self.outputs[prompt_id] if id not in self.forgets]
            self.saved.update(keeping)
            outputs = {id: {"images": self._save(prompt[id])} for id in keeping}
            self._end(job, "execution_success", {}, outputs)

    def _save(self, node: Any) -> list[dict[str, str]]:
        folder, _, prefix = node["inputs"]["filename_prefix"].rpartition("/")
        numbers, suffix = ((1,), ".mp4") if node["class_type"] == "SaveVideo" else ((1, 2), ".png")
        names = [f"{prefix}_{number:05}_{suffix}" for number in numbers]
        kept = film if suffix == ".mp4" else drawn
        self.files.update({f"{folder}/{name}": kept(name) for name in names})
        return [{"filename": name, "subfolder": folder, "type": "output"} for name in names]

    def _end(self, job: tuple[str, Any, str], kind: str, data: dict[str, Any], outputs: Any = None) -> None:
        """As the editor: the message first, then the history, then the message that nothing runs."""
        prompt_id, _, client = job
        data = {"prompt_id": prompt_id, **data}
        self.tell(client, kind, data)
        messages = [["execution_start", {"timestamp": 1000}], [kind, data | {"timestamp": 3500}]]
        well = kind == "execution_success"
        status = {"status_str": "success" if well else "error", "completed": well, "messages": messages}
        queued = self.queued(prompt_id, job[1])
        self.history[prompt_id] = {"prompt": queued, "outputs": outputs or {}, "status": status}
        self.running = None
        self.tell(client, "executing", {"node": None, "prompt_id": prompt_id})
        for every in list(self._sockets):
            self.tell(every, "status", {"status": {"exec_info": {"queue_remaining": len(self.waiting)}}})

    def tell(self, client: str, kind: str, data: dict[str, Any]) -> None:
        text = json.dumps({"type": kind, "data": data}).encode()
        head = bytes([0x81, len(text)]) if len(text) < 126 else struct.pack(">BBH", 0x81, 126, len(text))
        with suppress(KeyError, OSError):
            self._sockets[client].sendall(head + text)


class _Handler(BaseHTTPRequestHandler):
    stand_in: StandIn
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet

    def log_message(self, *_: Any) -> None:
        pass

    def reply(self, content: Any = b"", status: int = 200) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    @property
    def odd(self) -> tuple[bytes, int] | None:
        told = "Basic " + base64.b64encode(self.stand_in.login.encode()).decode()
        if self.stand_in.login and self.headers["Authorization"] != told:
            return b"", 401
        return self.stand_in.odd.get(urlsplit(self.path).path.split("/")[1])

    def do_GET(self) -> None:
        server, url = self.stand_in, urlsplit(self.path)
        server.requests.append((self.path, dict(self.headers)))
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if server.away:
            self.reply(status=503)
        elif self.odd:
            self.reply(*self.odd)
        elif url.path == "/ws" and self.headers["Upgrade"] != "websocket":
            self.reply(b"No WebSocket UPGRADE hdr", 400)
        elif url.path == "/ws":
            self._upgrade(query["clientId"])
        elif url.path == "/object_info":
            self.reply(INFOS)
        elif url.path == "/queue":
            running, waiting = [server.running] if server.running else [], list(server.waiting)
            lines = ([server.queued(*job[:2]) for job in jobs] for jobs in (running, waiting))
            self.reply(dict(zip(("queue_running", "queue_pending"), lines, strict=True)))
        elif url.path.startswith("/history/"):
            id = url.path.rpartition("/")[2]
            self.reply({id: server.history[id]} if id in server.history else {})
        elif url.path == "/view":
            content = server.files.get(f"{query.get('subfolder', '')}/{query['filename']}")
            self.reply(*((content,) if content else (b"", 404)))
        else:
            self.reply(status=404)

    def do_POST(self) -> None:
        server, body = self.stand_in, self.rfile.read(int(self.headers["Content-Length"]))
        path = urlsplit(self.path).path
        server.requests.append((self.path, dict(self.headers)))
        if server.away:
            self.reply(status=503)
        elif self.odd:
            self.reply(*self.odd)
        elif path == "/upload/image":
            self._upload(body)
        elif path == "/prompt":
            self._prompt(json.loads(body))
        elif path == "/queue":
            server.delete(json.loads(body)["delete"])
            self.reply()
        elif path == "/interrupt":
            server.interrupt(json.loads(body)["prompt_id"])
            self.reply()
        else:
            self.reply(status=404)

    def _upload(self, body: bytes) -> None:
        name = re.search(rb'filename="([^"]+)"', body)[1].decode()
        folder = re.search(rb'name="subfolder"\r\n\r\n([^\r]*)', body)
        content = body.split(b'filename="')[1].partition(b"\r\n\r\n")[2].rpartition(b"\r\n--")[0]
        self.stand_in.uploads[f"{folder[1].decode()}/{name}" if folder else name] = content
        self.reply({"name": name, "subfolder": folder[1].decode() if folder else "", "type": "input"})

    def _prompt(self, asked: dict[str, Any]) -> None:
        if self.stand_in.refuses:
            info = {"input_name": "frames"}
            error = {"type": "value_smaller_than_min", "message": "Too few", "details": "frames", "extra_info": info}
            own = {"type": "custom_validation_failed", "message": "no", "details": "a - Turn it.", "extra_info": {}}
            own["extra_info"] = {"input_name": "a"}
            faults = {"8": {"class_type": "StableVideoSample", "errors": [error, own, own]}}
            self.reply({"error": {"message": "no"}, "node_errors": faults}, 400)
            return
        id = asked.get("prompt_id") or f"own-{len(self.stand_in.prompts)}"
        faults = {
            node: {"class_type": "x", "dependent_outputs": [node], "errors": [error]}
            for node, error in self.stand_in.refuses_outputs.items()
        }
        wanted = asked.get("partial_execution_targets")
        outputs = [node for node in asked["prompt"] if "Save" in asked["prompt"][node]["class_type"]]
        outputs = [node for node in outputs if node not in faults and (wanted is None or node in wanted)]
        if faults and not outputs:
            self.reply({"error": {"message": "no"}, "node_errors": faults}, 400)
            return
        self.stand_in.put(id, asked["prompt"], asked.get("client_id", ""), outputs)
        self.reply({"prompt_id": id, "number": 1, "node_errors": faults})

    def _upgrade(self, client: str) -> None:
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
        self.end_headers()
        self.wfile.flush()
        self.stand_in.connect(client, self.connection)
        self.close_connection = True
        with suppress(OSError):
            while self.connection.recv(4096):
                pass


@contextmanager
def stand_in(host: str = "127.0.0.1") -> Iterator[StandIn]:
    server = StandIn(host)
    try:
        yield server
    finally:
        server.close()
