"""Opens files in the real editor and prints what it makes of them. Run by the checkout's Python, which has Playwright.

    python drive_editor.py PORT CHROMIUM FILE ...

Prints one JSON object: file -> its API form, and under "errors" what the page complained about.
"""

import base64
import json
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync", "--disable-background-networking"]
FLAGS += ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
READY = "window.app?.graph && window.app.extensionManager?.workflow?.activeWorkflow"
OPEN = """async ([name, type, text]) => {
  const bytes = Uint8Array.from(atob(text), c => c.charCodeAt(0))
  app.graph.clear()
  await app.handleFile(new File([bytes], name, {type}))
}"""
TYPES = {".json": "application/json", ".mp4": "video/mp4", ".webp": "image/webp", ".png": "image/png"}


def main(port: str, chromium: str, *files: str) -> None:
    found, errors = {}, []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"http://127.0.0.1:{port}", wait_until="domcontentloaded")
        page.wait_for_function(READY, timeout=90_000)
        page.wait_for_timeout(1000)
        for file in map(Path, files):
            page.evaluate(OPEN, [file.name, TYPES[file.suffix], base64.b64encode(file.read_bytes()).decode()])
            page.wait_for_function("app.graph._nodes.length > 0", timeout=20_000)
            page.wait_for_timeout(300)
            found[str(file)] = page.evaluate("async () => (await app.graphToPrompt()).output")
        browser.close()
    print(json.dumps({"files": found, "errors": errors}))


main(*sys.argv[1:])
