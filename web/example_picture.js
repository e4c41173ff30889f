/**
 * Puts the pack's example picture into the editor's input folder when a workflow that names it is opened and it is not
 * there yet, so that the templates run at once. Nothing is written before such a workflow is opened, and nothing over.
 */
import { api } from "../../scripts/api.js"
import { app } from "../../scripts/app.js"

const NAME = "lighthouse.png"
const SOURCE = new URL(`pictures/${NAME}`, import.meta.url)

function names(graph) {
  const nodes = graph?.nodes ?? []
  const ours = nodes.some(({ type }) => String(type).startsWith("StableVideo"))
  return ours && nodes.some(({ type, widgets_values }) => type === "LoadImage" && widgets_values?.[0] === NAME)
}

async function isThere() {
  const reply = await api.fetchApi("/object_info/LoadImage")
  const [choices, options] = (await reply.json()).LoadImage.input.required.image
  return (Array.isArray(choices) ? choices : options.options).includes(NAME)
}

async function bring() {
  const picture = await (await fetch(SOURCE)).blob()
  const body = new FormData()
  body.append("image", new File([picture], NAME, { type: "image/png" }))
  await api.fetchApi("/upload/image", { method: "POST", body })
  await app.refreshComboInNodes()
}

app.registerExtension({
  name: "svd-nodes.ExamplePicture",
  async beforeConfigureGraph(graph) {
    if (names(graph) && !(await isThere())) await bring()
  },
})
