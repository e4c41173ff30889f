/** Reading a graph of LiteGraph nodes: what is connected, and what a widget is set to. */

const EDGE = -10 // the editor's id of the end of a subgraph that its inputs come from

/** Where an input that comes from the edge of a subgraph is connected outside: the subgraph's node and its input.
 *
 * Nothing where several nodes are the same subgraph: each may be told something else.
 */
function outside(node, slot) {
  const { graph } = node
  const link = graph?.getLink?.(node.inputs[slot].link)
  if (Number(link?.origin_id) !== EDGE) return undefined
  const graphs = [graph.rootGraph, ...graph.rootGraph.subgraphs.values()]
  const holders = graphs.flatMap(({ nodes }) => nodes.filter(({ subgraph }) => subgraph === graph))
  return holders.length === 1 ? [holders[0], graph.inputs[link.origin_slot].name] : undefined
}

/** The node an input is connected to, through reroutes and out of subgraphs; undefined where there is none, or where it
 * is switched off.
 */
export function upstream(node, input) {
  const slot = node?.inputs?.findIndex((candidate) => candidate.name === input) ?? -1
  if (slot < 0) return undefined
  let origin = node.getInputNode(slot)
  while (origin?.type === "Reroute") origin = origin.getInputNode(0)
  if (origin) return origin.mode ? undefined : origin
  const further = outside(node, slot)
  return further && upstream(...further)
}

/** The node of a kind at the end of a way through inputs. */
export function follow(node, kind, ...inputs) {
  const found = inputs.reduce(upstream, node)
  return found?.comfyClass === kind ? found : undefined
}

/** A widget's value; undefined where a node feeds it, since that is known in the run only. */
export function setting(node, name) {
  const slot = node?.inputs?.findIndex((input) => input.widget?.name === name) ?? -1
  if (slot < 0 || !node.isInputConnected(slot)) return node?.widgets?.find((widget) => widget.name === name)?.value
  const further = outside(node, slot)
  return further && setting(...further)
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
const ENCODERS = { StableVideoEncodeLatent: "vae", StableVideoEncodeClip: "clip" } // and where their network comes in

/** The checkpoint that a fitted picture is encoded with; undefined where it is none, or several. */
export function fittedFor(fit) {
  const { rootGraph } = fit.graph ?? {}
  const nodes = rootGraph ? [rootGraph, ...rootGraph.subgraphs.values()].flatMap((graph) => graph.nodes) : []
  const encoders = nodes.filter((node) => node.comfyClass in ENCODERS && upstream(node, "image") === fit)
  const names = encoders.map((node) => setting(follow(node, LOADER, ENCODERS[node.comfyClass]), "checkpoint"))
  const known = [...new Set(names)].filter((name) => name !== undefined)
  return known.length === 1 ? known[0] : undefined
}

/** What is known of the run a sampler belongs to. */
export function samplerSettings(sampler) {
  const condition = follow(sampler, "StableVideoCondition", "conditioning")
  const loader = follow(sampler, LOADER, "model")
  const fit = follow(condition, FIT, "image_latent", "image")
  const own = (name) => setting(sampler, name)
  return {
    checkpoint: setting(loader, "checkpoint"),
    precision: setting(loader, "precision"),
    memory: setting(loader, "memory"),
    width: setting(fit, "width"),
    height: setting(fit, "height"),
    frames: own("frames"),
    ...stepsOf(sampler),
    shape: own("guidance"),
    minimum: own("min_guidance"),
    maximum: own("max_guidance"),
    fps: setting(condition, "fps"),
  }
}

/** Its own steps, or those of the sigmas that it is given, and their schedule. */
function stepsOf(sampler) {
  if (!upstream(sampler, "sigmas")) return { steps: setting(sampler, "steps"), schedule: "karras" }
  const levels = follow(sampler, "StableVideoSigmas", "sigmas")
  return { steps: setting(levels, "steps"), schedule: setting(levels, "schedule") }
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
