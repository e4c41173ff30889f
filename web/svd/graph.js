/** Reading a graph of LiteGraph nodes: what is connected, and what a widget is set to. */

/** The node an input is connected to, through reroutes; undefined where there is none, or where it is switched off. */
export function upstream(node, input) {
  const slot = node?.inputs?.findIndex((candidate) => candidate.name === input) ?? -1
  let origin = slot < 0 ? undefined : node.getInputNode(slot)
  while (origin?.type === "Reroute") origin = origin.getInputNode(0)
  return origin && !origin.mode ? origin : undefined
}

/** The node of a kind at the end of a way through inputs. */
export function follow(node, kind, ...inputs) {
  const found = inputs.reduce(upstream, node)
  return found?.comfyClass === kind ? found : undefined
}

/** A widget's value; undefined where an input feeds it, since that is known in the run only. */
export function setting(node, name) {
  const fed = node?.inputs?.some((input, slot) => input.widget?.name === name && node.isInputConnected(slot))
  return fed ? undefined : node?.widgets?.find((widget) => widget.name === name)?.value
}

/** Sets a widget as a user would. */
export function set(node, name, value) {
  const widget = node.widgets.find((candidate) => candidate.name === name)
  widget.value = value
  widget.callback?.(value)
}

/** The node an execution id means: "7", or "3:7" inside the subgraph of node 3. */
export function nodeAt(graph, id) {
  let node
  for (const part of String(id).split(":")) {
    node = graph?.getNodeById(part) ?? graph?.getNodeById(Number(part))
    graph = node?.subgraph
  }
  return node ?? undefined
}

const LOADER = "StableVideoLoadCheckpoint"
const FIT = "StableVideoFitImage"

/** What is known of the run a sampler belongs to. */
export function samplerSettings(sampler) {
  const condition = follow(sampler, "StableVideoCondition", "conditioning")
  const loader = follow(sampler, LOADER, "model")
  const fit = follow(condition, FIT, "image_latent", "image")
  const levels = follow(sampler, "StableVideoSigmas", "sigmas")
  const own = (name) => setting(sampler, name)
  return {
    checkpoint: setting(loader, "checkpoint"),
    precision: setting(loader, "precision"),
    memory: setting(loader, "memory"),
    width: setting(fit, "width"),
    height: setting(fit, "height"),
    frames: own("frames"),
    steps: upstream(sampler, "sigmas") ? setting(levels, "steps") : own("steps"),
    shape: own("guidance"),
    minimum: own("min_guidance"),
    maximum: own("max_guidance"),
    fps: setting(condition, "fps"),
  }
}

/** What is known of the decoding of a decoder. */
export function decoderSettings(decoder) {
  const sampler = follow(decoder, "StableVideoSample", "latent")
  return { ...samplerSettings(sampler), frames_per_chunk: setting(decoder, "frames_per_chunk") }
}

/** What a conditioning node is set to, and of which checkpoint its picture was encoded. */
export function conditionSettings(condition) {
  const loader = follow(condition, LOADER, "embedding", "clip")
  return {
    checkpoint: setting(loader, "checkpoint"),
    fps: setting(condition, "fps"),
    bucket: setting(condition, "motion_bucket_id"),
  }
}
