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

FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync", "--disable-background-networking"]
FLAGS += ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
SETTINGS = {"Comfy.TutorialCompleted": True, "Comfy.Canvas.NavigationMode": "custom"}
OTHER_VIEW = "app.extensionManager.command.execute('Comfy.ToggleLinear')"
AS_FORM = "app.extensionManager.workflow.activeWorkflow?.initialMode === 'app'"  # undefined where there is no app mode
READY = "window.app?.graph && window.app.extensionManager?.workflow?.activeWorkflow"
PATIENCE = 120  # seconds that the page has for anything: a busy machine is no fault
OPEN = """async ([name, type, text]) => {
  const bytes = Uint8Array.from(atob(text), c => c.charCodeAt(0))
  app.graph.clear()
  await app.handleFile(new File([bytes], name, {type}))
}"""
TYPES = {".json": "application/json", ".mp4": "video/mp4", ".webp": "image/webp", ".png": "image/png"}
# A bare server without a network: files it does not have, pages it cannot or may not reach, what a newer page asks for;
# what newer pages write with no pack at all; and a prompt that the server refuses.
NOISE = re.compile(
    "Failed to load resource|fetchJobs|ERR_NAME_NOT_RESOLVED|PromptExecutionError|Error fetching file size"
    r"|https://(huggingface\.co|api\.comfy\.org)/.*Content Security Policy|graph accessed before initialization"
)
# Where the page says which models are missing: the dialog of older ones, the panel behind the toast of newer ones.
LISTED = """() => Object.fromEntries([...document.querySelectorAll('.comfy-missing-models li')].map(
  line => [line.querySelector('span').innerText.split(' / ').pop(), line.querySelector('button').title]))"""
SAID_MISSING = "document.querySelector('.comfy-missing-models li, [data-testid=error-overlay-see-errors]')"


def chromium() -> str | None:
    """The browser: $CHROMIUM_PATH, or one on the path."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return os.environ.get("CHROMIUM_PATH") or next(filter(None, map(shutil.which, names)), None)


def what_is_missing() -> str:
    """Why no page can be tested here, or nothing."""
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
        page.set_default_timeout(1000 * PATIENCE)
        page.goto(f"http://127.0.0.1:{port}", wait_until="domcontentloaded")
        self.wait(READY)
        page.wait_for_timeout(1000)

    def _note(self, text: str) -> None:
        if not NOISE.search(text):
            self.complaints.append(text)

    def open(self, file: Path, as_form: bool = False) -> None:
        """Opens a workflow. Those that open as a form are shown as a graph, unless it is the form that is asked for."""
        text = base64.b64encode(file.read_bytes()).decode()
        self.page.evaluate(OPEN, [file.name, TYPES[file.suffix], text])
        self.wait("app.graph._nodes.length > 0")
        if not as_form and self.ask(AS_FORM):
            self.ask(OTHER_VIEW)
        self.page.wait_for_timeout(500)

    def ask(self, question: str, argument: Any = None) -> Any:
        return self.page.evaluate(question, argument)

    def wait(self, condition: str) -> None:
        self.page.wait_for_function(condition, timeout=1000 * PATIENCE)

    def missing_models(self) -> dict[str, str]:
        """The files that the page says are missing, each with the address that it offers. Waits until it says so."""
        self.wait(SAID_MISSING)
        details = self.page.get_by_test_id("error-overlay-see-errors")
        if not details.count():
            return self.ask(LISTED)
        details.click()
        self.page.get_by_test_id("missing-model-download").first.wait_for()
        found = {}
        for row in self.page.locator("[data-testid=missing-model-importable-rows] > div").all():
            row.get_by_role("button", name="Copy URL").click()
            found[row.locator("button[title]").first.inner_text()] = self.ask("navigator.clipboard.readText()")
        return found


@contextmanager
def opened(port: int) -> Iterator[Editor]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS, timeout=1000 * PATIENCE)
        try:
            context = browser.new_context(viewport={"width": 1600, "height": 900})
            context.grant_permissions(["clipboard-read", "clipboard-write"])
            yield Editor(context.new_page(), port)
        finally:
            browser.close()
