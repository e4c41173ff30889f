"""The quickstart in the editor's page: one front end and one of its renderers."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from comfyui import browser
from comfyui.browser import Editor
from comfyui.server import REPOSITORY, Checkout, Server, running_server

QUICKSTART = REPOSITORY / "workflows" / "quickstart.json"
NANO = REPOSITORY / "assets" / "checkpoints" / "svd_nano.safetensors"
HELPERS = """
window.svd = {
  node: kind => app.graph._nodes.find(node => node.comfyClass === kind),
  panel: kind => svd.node(kind)?.widgets.find(widget => widget.name === "svd_panel")?.element,
  lines(kind) {
    const lines = svd.panel(kind)?.firstChild.children ?? [] // none while the editor makes its nodes anew
    return [...lines].filter(line => !line.hidden).map(line => line.textContent)
  },
  set(kind, values) {
    for (const widget of svd.node(kind).widgets) {
      if (!(widget.name in values)) continue
      widget.value = values[widget.name]
      widget.callback?.(widget.value)
    }
  },
  told: [],
}
const listen = type => app.api.addEventListener(type, () => svd.told.push(type));
["svd-nodes.clip", "b_preview_with_metadata"].forEach(listen)
"""
PREVIEW_MOVES = """svd.told.includes("svd-nodes.clip")
  && !svd.panel("StableVideoSample").querySelector(".svd-clip").hidden"""
LOCALE = "language => app.extensionManager.setting.set('Comfy.Locale', language)"


@dataclass(frozen=True)
class Renderer:
    """vue: draws its nodes with Vue ("Nodes 2.0"), not on the canvas. frontend: the `static` folder of another front
    end than the checkout's own."""

    name: str
    vue: bool = False
    frontend: str | None = None


OTHER = os.environ.get("COMFYUI_FRONTEND")
RENDERERS = [Renderer("classic"), Renderer("vue", vue=True)]
if OTHER:
    RENDERERS += [Renderer("other", frontend=OTHER), Renderer("other-vue", vue=True, frontend=OTHER)]


@dataclass
class Surface:
    renderer: Renderer
    editor: Editor
    server: Server

    @property
    def name(self) -> str:
        return self.renderer.name

    def lines(self, kind: str) -> list[str]:
        return self.editor.ask("kind => svd.lines(kind)", kind)

    def set(self, kind: str, **values: Any) -> None:
        self.editor.ask("([kind, values]) => svd.set(kind, values)", [kind, values])

    def wait_for(self, kind: str, text: str) -> None:
        """Until a line of a node's panel begins with a text."""
        line = f"line => line.startsWith({json.dumps(text)})"
        self.editor.wait(f"svd.lines({json.dumps(kind)}).some({line})")

    def speak(self, language: str) -> None:
        """Changes the page's language, and waits for the nodes, which the editor then makes anew."""
        self.editor.ask("window.before = svd.node('StableVideoSample')")
        self.editor.ask(LOCALE, language)
        self.editor.wait("svd.panel('StableVideoSample') && svd.node('StableVideoSample') !== window.before")

    def run(self, **changes: Any) -> None:
        """Queues the quickstart, short and small."""
        self.set("StableVideoFitImage", width=128, height=128)
        self.set("StableVideoSample", **({"frames": 4, "steps": 4} | changes))
        self.editor.ask("svd.told = []")
        self.editor.ask("app.queuePrompt(0)")

    def take_picture(self, name: str) -> None:
        """Where the environment names a folder for it."""
        if folder := os.environ.get("SVD_SCREENSHOTS"):
            self.editor.page.screenshot(path=Path(folder) / f"{name}.png")

    def finish(self) -> None:
        for _ in range(6000):
            if not any(self.server.get("/queue").values()):
                return
            self.editor.page.wait_for_timeout(100)
        raise TimeoutError(self.server.log[-3000:])


@contextmanager
def opened(checkout: Checkout, base: Path, renderer: Renderer, **how: Any) -> Iterator[Surface]:
    """A page on a server of its own that has the miniature and its picture. how: goes to running_server."""
    skip_without_widgets(checkout, renderer)
    options = ["--preview-method", "latent2rgb"]
    if renderer.frontend:
        options += ["--front-end-root", renderer.frontend]
    with running_server(checkout, base, *options, **how) as server:
        shutil.copy(NANO, base / "models" / "checkpoints")
        shutil.copy(REPOSITORY / "web" / "pictures" / "lighthouse.png", base / "input")
        server.post("/api/settings", browser.SETTINGS | {"Comfy.VueNodes.Enabled": renderer.vue})
        with browser.opened(server.port) as editor:
            editor.ask(HELPERS)
            yield Surface(renderer, editor, server)


def skip_without_widgets(checkout: Checkout, renderer: Renderer) -> None:
    """Skips where Vue nodes are a first version, which draws no DOM widget of anybody's."""
    if renderer.vue and not renderer.frontend and checkout.frontend.startswith("1.27."):
        pytest.skip(f"the Vue nodes of front end {checkout.frontend} draw no DOM widgets")
