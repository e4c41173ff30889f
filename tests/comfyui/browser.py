"""The editor's page in a headless Chromium, for the tests."""

import base64
import importlib.util
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from comfyui.server import why_not

FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync", "--disable-background-networking"]
FLAGS += ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
SETTINGS = {"Comfy.TutorialCompleted": True, "Comfy.Canvas.NavigationMode": "custom"}
OTHER_VIEW = "app.extensionManager.command.execute('Comfy.ToggleLinear')"
AS_FORM = "app.extensionManager.workflow.activeWorkflow?.initialMode === 'app'"  # undefined where there is no app mode
READY = "window.app?.graph && window.app.extensionManager?.workflow?.activeWorkflow"
OPEN = """async ([name, type, text]) => {
  const bytes = Uint8Array.from(atob(text), c => c.charCodeAt(0))
  app.graph.clear()
  await app.handleFile(new File([bytes], name, {type}))
}"""
TYPES = {".json": "application/json", ".mp4": "video/mp4", ".webp": "image/webp", ".png": "image/png"}
# A bare server without a network: files it does not have, pages it cannot reach, what a newer page asks for; and a
# prompt that the server refuses.
NOISE = re.compile(
    "Failed to load resource|fetchJobs|ERR_NAME_NOT_RESOLVED|PromptExecutionError|Error fetching file size"
)


def chromium() -> str | None:
    """The browser: $CHROMIUM_PATH, or one on the path."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return os.environ.get("CHROMIUM_PATH") or next(filter(None, map(shutil.which, names)), None)


def what_is_missing() -> str:
    """Why the page cannot be tested here, or nothing."""
    if reason := why_not():
        return reason
    if chromium() is None:
        return "no Chromium on the path: set CHROMIUM_PATH"
    if importlib.util.find_spec("playwright") is None:
        return "Playwright is not installed"
    return ""


class Editor:
    """The open page. `complaints` is what it wrote to its console as errors, or threw."""

    def __init__(self, page: Any, port: int) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self._note(str(error)))
        page.on("console", lambda message: message.type == "error" and self._note(message.text))
        page.goto(f"http://127.0.0.1:{port}", wait_until="domcontentloaded")
        page.wait_for_function(READY, timeout=90_000)
        page.wait_for_timeout(1000)

    def _note(self, text: str) -> None:
        if not NOISE.search(text):
            self.complaints.append(text)

    def open(self, file: Path, as_form: bool = False) -> None:
        """Opens a workflow. Those that open as a form are shown as a graph, unless it is the form that is asked for."""
        text = base64.b64encode(file.read_bytes()).decode()
        self.page.evaluate(OPEN, [file.name, TYPES[file.suffix], text])
        self.page.wait_for_function("app.graph._nodes.length > 0", timeout=20_000)
        if not as_form and self.ask(AS_FORM):
            self.ask(OTHER_VIEW)
        self.page.wait_for_timeout(500)

    def ask(self, question: str, argument: Any = None) -> Any:
        return self.page.evaluate(question, argument)

    def wait(self, condition: str, seconds: float = 20) -> None:
        self.page.wait_for_function(condition, timeout=1000 * seconds)


@contextmanager
def opened(port: int) -> Iterator[Editor]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        try:
            yield Editor(browser.new_page(viewport={"width": 1600, "height": 900}), port)
        finally:
            browser.close()
