"""Opens files in the real editor and prints what it makes of them. Run by the checkout's Python, which has Playwright.

    python drive_editor.py PORT CHROMIUM FILE ...

Prints one JSON object. "files": file -> its API form. "behind": file -> the nodes that a wire runs behind. "outside":
file -> the nodes and groups that cannot be seen whole as the file opens. "dialogs": file -> what a dialog says then.
"errors": what the page complained about.
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
# Asks along a line 12 px inside each node's border: a wire's own slots lie outside it.
BEHIND = """() => {
  const context = document.createElement("canvas").getContext("2d")
  context.lineWidth = 4
  const crossed = ({path}, [x, y, width, height]) => {
    const on = (a, b) => context.isPointInStroke(path, a, b)
    for (let a = x + 12; a <= x + width - 12; a += 2) if (on(a, y + 12) || on(a, y + height - 12)) return true
    for (let b = y + 12; b <= y + height - 12; b += 2) if (on(x + 12, b) || on(x + width - 12, b)) return true
  }
  app.canvas.draw(true, true)
  const wires = [...app.canvas.renderedPaths]
  if (wires.length < app.graph.links.size) return ["some wires are not in view"]
  return app.graph._nodes.filter(node => wires.some(wire => crossed(wire, node.boundingRect))).map(node => node.title)
}"""
OUTSIDE = """() => {
  const [left, top, wide, high] = app.canvas.visible_area
  const whole = ([x, y, width, height]) => x >= left && y >= top && x + width <= left + wide && y + height <= top + high
  return [...app.graph._nodes, ...app.graph._groups].filter(item => !whole(item.boundingRect)).map(item => item.title)
}"""
TYPES = {".json": "application/json", ".mp4": "video/mp4", ".webp": "image/webp", ".png": "image/png"}
ASKED = {
    "files": "async () => (await app.graphToPrompt()).output",
    "behind": BEHIND,
    "outside": OUTSIDE,
    "dialogs": "() => [...document.querySelectorAll('.p-dialog')].map(dialog => dialog.innerText).join()",
}


def main(port: str, chromium: str, *files: str) -> None:
    found: dict[str, dict[str, object]] = {name: {} for name in ASKED}
    errors: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1600, "height": 900})
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"http://127.0.0.1:{port}", wait_until="domcontentloaded")
        page.wait_for_function(READY, timeout=90_000)
        page.wait_for_timeout(1000)
        for file in map(Path, files):
            page.evaluate(OPEN, [file.name, TYPES[file.suffix], base64.b64encode(file.read_bytes()).decode()])
            page.wait_for_function("app.graph._nodes.length > 0", timeout=20_000)
            page.wait_for_timeout(500)
            for name, question in ASKED.items():
                found[name][str(file)] = page.evaluate(question)
            page.keyboard.press("Escape")
            page.wait_for_function("!document.querySelector('.p-dialog')", timeout=20_000)
        browser.close()
    print(json.dumps(found | {"errors": errors}))


main(*sys.argv[1:])
