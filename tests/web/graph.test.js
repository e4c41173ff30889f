import assert from "node:assert/strict"
import { test } from "node:test"
import * as graph from "../../web/svd/graph.js"

/** A stand-in for LiteGraph's node: inputs by name -> the node they come from. */
function node(comfyClass, widgets = {}, from = {}, more = {}) {
  const inputs = Object.keys(from).map((name) => ({ name, widget: name in widgets ? { name } : undefined }))
  return {
    comfyClass,
    type: comfyClass,
    mode: 0,
    inputs,
    widgets: Object.entries(widgets).map(([name, value]) => ({ name, value })),
    getInputNode: (slot) => Object.values(from)[slot] ?? null,
    isInputConnected: (slot) => Boolean(Object.values(from)[slot]),
    ...more,
  }
}

function chain({ fit = {}, reroute = false } = {}) {
  const loader = node("StableVideoLoadCheckpoint", {
    ...{ checkpoint: "svd_xt.safetensors", precision: "auto", memory: "low" },
  })
  const picture = node("LoadImage", { image: "a.png" })
  const fitted = node("StableVideoFitImage", { width: 1024, height: 576 }, { image: picture }, fit)
  const clip = node("StableVideoEncodeClip", {}, { clip: loader, image: fitted })
  const latent = node("StableVideoEncodeLatent", { noise_aug_strength: 0.02 }, { vae: loader, image: fitted })
  const between = reroute ? node("Reroute", {}, { "": latent }) : latent
  const condition = node(
    "StableVideoCondition",
    { fps: 7, motion_bucket_id: 127 },
    { embedding: clip, image_latent: between },
  )
  const own = { frames: 25, steps: 30, min_guidance: 1, max_guidance: 3, guidance: "linear" }
  const sampler = node("StableVideoSample", own, { model: loader, conditioning: condition, sigmas: undefined })
  const decoder = node("StableVideoDecode", { frames_per_chunk: 14 }, { vae: loader, latent: sampler })
  return { loader, fitted, clip, between, condition, sampler, decoder, own }
}

const KNOWN = {
  ...{ checkpoint: "svd_xt.safetensors", precision: "auto", memory: "low" },
  ...{ width: 1024, height: 576, frames: 25, steps: 30 },
}

test("a sampler's settings are found along its wires", () => {
  const found = graph.samplerSettings(chain().sampler)
  assert.deepEqual(found, { ...KNOWN, schedule: "karras", shape: "linear", minimum: 1, maximum: 3, fps: 7 })
  assert.deepEqual(graph.samplerSettings(chain({ reroute: true }).sampler), found)
})

test("a decoder knows its sampler's settings and its own", () => {
  const found = graph.decoderSettings(chain().decoder)
  assert.equal(found.frames_per_chunk, 14)
  assert.equal(found.width, 1024)
})

test("a node that is switched off tells nothing", () => {
  assert.equal(graph.samplerSettings(chain({ fit: { mode: 4 } }).sampler).width, undefined)
})

test("a conditioning node knows the checkpoint of its picture", () => {
  const found = graph.conditionSettings(chain().condition)
  assert.deepEqual(found, { checkpoint: "svd_xt.safetensors", fps: 7, bucket: 127 })
})

test("a fitted picture is for the checkpoint that encodes it", () => {
  const among = (fit, ...nodes) => {
    fit.graph = { rootGraph: { nodes, subgraphs: new Map() } }
    return graph.fittedFor(fit)
  }
  const { loader, fitted, clip, between } = chain({ reroute: true })
  const latent = between.getInputNode(0)
  assert.equal(among(fitted, loader, fitted, clip, latent), "svd_xt.safetensors")
  assert.equal(among(fitted, loader, fitted, latent), "svd_xt.safetensors")
  assert.equal(among(fitted, loader, fitted), undefined)
  assert.equal(among(fitted, loader, fitted, node("StableVideoEncodeClip", {}, { image: fitted })), undefined)
  const other = node("StableVideoLoadCheckpoint", { checkpoint: "svd_nano.safetensors" })
  const both = node("StableVideoEncodeLatent", {}, { vae: other, image: fitted })
  assert.equal(among(fitted, loader, fitted, clip, both), undefined, "one picture for two checkpoints")
  assert.equal(among(chain().fitted, loader, clip), undefined, "another picture is encoded")
})

test("a picture that is fitted outside of the subgraph that encodes it", () => {
  const fitted = node("StableVideoFitImage")
  const inside = { inputs: [{ name: "image" }], getLink: () => ({ origin_id: -10, origin_slot: 0 }), nodes: [] }
  const holder = node("a-b-c", {}, { image: fitted }, { subgraph: inside })
  inside.rootGraph = { nodes: [fitted, holder], subgraphs: new Map([["a-b-c", inside]]) }
  const loader = node("StableVideoLoadCheckpoint", { checkpoint: "a.safetensors" })
  const encode = node("StableVideoEncodeLatent", {}, { image: undefined, vae: loader }, { graph: inside })
  encode.inputs[0].link = 1
  inside.nodes.push(loader, encode)
  fitted.graph = inside.rootGraph
  inside.rootGraph.rootGraph = inside.rootGraph
  assert.equal(graph.fittedFor(fitted), "a.safetensors")
})

test("a widget that an input feeds has no known value", () => {
  const fed = node("StableVideoSample", { frames: 25, steps: 3 }, { frames: node("PrimitiveInt") })
  assert.equal(graph.setting(fed, "frames"), undefined)
  assert.equal(graph.setting(fed, "steps"), 3)
  assert.equal(graph.setting(undefined, "steps"), undefined)
})

test("with sigmas connected the steps are theirs", () => {
  const levels = node("StableVideoSigmas", { steps: 10, schedule: "align-your-steps" })
  const sampler = (sigmas) => node("StableVideoSample", { frames: 25, steps: 30 }, { sigmas })
  assert.equal(graph.samplerSettings(sampler(levels)).steps, 10)
  assert.equal(graph.samplerSettings(sampler(levels)).schedule, "align-your-steps")
  assert.equal(graph.samplerSettings(sampler(node("BasicScheduler", { steps: 8 }))).schedule, undefined)
  assert.equal(graph.samplerSettings(sampler(node("BasicScheduler", { steps: 8 }))).steps, undefined)
})

test("setting a widget tells it so", () => {
  const told = []
  const fit = node("StableVideoFitImage", { width: 8 })
  fit.widgets[0].callback = (value) => told.push(value)
  graph.set(fit, "width", 640)
  assert.equal(fit.widgets[0].value, 640)
  assert.deepEqual(told, [640])
})

test("an execution id leads into subgraphs", () => {
  const holds = (nodes) => ({ getNodeById: (id) => nodes[id] ?? null })
  const inner = node("StableVideoSample")
  const outer = { subgraph: holds({ 7: inner }) }
  assert.equal(graph.nodeAt(holds({ 3: outer }), "3:7"), inner)
  assert.equal(graph.nodeAt(holds({ 3: outer }), "3"), outer)
  assert.equal(graph.nodeAt(holds({ 3: outer }), "4:7"), undefined)
})

/** A sampler in a subgraph whose settings stand on `holders`, the nodes outside that are this subgraph. */
function within(...settings) {
  const graph = {
    inputs: [{ name: "length" }, { name: "model" }],
    getLink: (id) => ({ origin_id: -10, origin_slot: id }),
  }
  const loader = node("StableVideoLoadCheckpoint", { checkpoint: "a.safetensors" })
  const holders = settings.map((length) => node("a-b-c", { length }, { model: loader }, { subgraph: graph }))
  graph.rootGraph = {
    nodes: [loader, ...holders],
    subgraphs: new Map([["a-b-c", Object.assign(graph, { nodes: [] })]]),
  }
  const sampler = node(
    "StableVideoSample",
    { frames: 25, steps: 30 },
    { frames: undefined, model: undefined },
    { graph },
  )
  for (const [slot, input] of sampler.inputs.entries()) input.link = slot
  return Object.assign(sampler, { isInputConnected: () => true })
}

test("inside a subgraph, what comes from its edge is what stands on its node outside", () => {
  assert.equal(graph.setting(within(14), "frames"), 14)
  assert.equal(graph.setting(within(14), "steps"), 30)
  assert.equal(graph.samplerSettings(within(14)).checkpoint, "a.safetensors")
})

test("where several nodes are one subgraph, it is not known", () => {
  assert.equal(graph.setting(within(14, 25), "frames"), undefined)
  assert.equal(graph.upstream(within(14, 25), "model"), undefined)
})
