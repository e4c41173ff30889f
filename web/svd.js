/** The pack's extension of the editor: panels on our nodes, and the moving preview. */

import { api } from "../../scripts/api.js"
import { app } from "../../scripts/app.js"
import { colour, RULE } from "./svd/colours.js"
import { nodeAt } from "./svd/graph.js"
import { PANELS } from "./svd/nodes.js"
import { Page } from "./svd/page.js"
import { STYLE } from "./svd/panel.js"
import { order } from "./svd/templates.js"
import { Words } from "./svd/words.js"

const PACK = decodeURIComponent(new URL(".", import.meta.url).pathname.split("/").at(-2)) // its folder, as served
const LANGUAGE = "Comfy.Locale"
const PREVIEW = "svd-nodes.clipPreview"
const OURS = "StableVideo" // what the kinds of our nodes begin with
const NARROWEST = 225 // a Vue node's least width; on the canvas, a new one could be too narrow for its title
const CORE_PREVIEW = "Comfy.Execution.PreviewMethod" // of newer editors

const words = new Words(async (name) => (await fetch(new URL(`svd/words/${name}`, import.meta.url))).json())
const page = new Page(document, api, words.say)
const panels = new WeakMap() // node -> what PANELS made for it
let waiting

/** Brings all panels and colours up to date, a little later, so that a burst of changes is one. */
function refresh() {
  clearTimeout(waiting)
  waiting = setTimeout(() => {
    colour(app.canvas)
    for (const node of app.canvas.graph?.nodes ?? []) panels.get(node)?.update()
  }, 100)
}

/** Another graph is on view: a subgraph was entered or left. */
function enter() {
  ask()
  refresh()
}

/** What the server answered may not be so any more. */
function askAnew() {
  page.forget()
  refresh()
}

/** Takes up the page's language. */
async function speak() {
  await words.speak(read(LANGUAGE))
  refresh()
}

/** No node on view shows a failure of an earlier run. */
function forgive() {
  for (const node of app.canvas.graph?.nodes ?? []) panels.get(node)?.panel.fail(undefined)
}

function root() {
  return app.rootGraph ?? app.graph
}

function read(setting) {
  return app.extensionManager.setting.get(setting)
}

/** Whether the user wants moving previews. */
function wanted() {
  return read(PREVIEW) !== false && read(CORE_PREVIEW) !== "none"
}

/** Tells the server, once a setting that is just being changed has its new value. */
function ask() {
  setTimeout(() => {
    if (api.clientId) page.askForClips(wanted(), app.canvas.graph !== root())
  })
}

function addStyle(rules) {
  const style = document.createElement("style")
  style.textContent = rules
  document.head.append(style)
}

app.registerExtension({
  name: "svd-nodes",
  settings: [
    {
      id: PREVIEW,
      category: ["Stable Video Diffusion", "Preview", "clip"],
      name: "Show the whole clip moving while it is sampled",
      tooltip: "Off: the editor's own preview, which shows the first frame.",
      type: "boolean",
      defaultValue: true,
      onChange: ask,
    },
  ],

  init: () => order(api, PACK),

  setup() {
    addStyle(STYLE + RULE)
    ask()
    speak()
    api.addEventListener("svd-nodes.clip", ({ detail }) => {
      if (wanted()) panels.get(nodeAt(root(), detail.node))?.show(detail)
    })
    api.addEventListener("reconnected", ask)
    api.addEventListener("reconnected", askAnew)
    api.addEventListener("status", ask, { once: true })
    api.addEventListener("graphChanged", refresh)
    api.addEventListener("execution_start", forgive)
    api.addEventListener("execution_error", ({ detail }) => {
      panels.get(nodeAt(root(), detail.node_id))?.panel.fail(detail.exception_message.trim())
    })
    api.addEventListener("execution_success", askAnew)
    app.ui.settings.addEventListener("Comfy.ColorPalette.change", refresh)
    app.ui.settings.addEventListener(`${CORE_PREVIEW}.change`, ask)
    app.ui.settings.addEventListener(`${LANGUAGE}.change`, () => setTimeout(speak))
    app.canvas.canvas.addEventListener("litegraph:set-graph", enter)
    window.addEventListener("focus", refresh) // who comes back may have fetched a checkpoint
  },

  refreshComboInNodes: askAnew,

  nodeCreated(node) {
    if (!node.comfyClass?.startsWith(OURS)) return
    const make = PANELS[node.comfyClass]
    node.setSize([Math.max(node.size[0], NARROWEST), node.size[1]])
    if (make) panels.set(node, make(node, page))
    for (const widget of node.widgets ?? []) {
      const { callback } = widget
      widget.callback = function (...values) {
        const result = callback?.apply(this, values)
        refresh()
        return result
      }
    }
    refresh()
  },

  afterConfigureGraph: refresh,
})
