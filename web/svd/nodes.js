/** What each of our nodes shows in its panel.
 *
 * An entry makes {panel, update}; `update` brings the panel up to date. The sampler has `show` as well, for a preview.
 */

import * as checks from "./checks.js"
import { Clip } from "./clip.js"
import { conditionSettings, decoderSettings, fittedFor, samplerSettings, set, setting, upstream } from "./graph.js"
import { bars, inWords, scales } from "./guidance.js"
import { decoding, question, sampling } from "./needs.js"
import { Panel } from "./panel.js"
import { offFrames, offGuidance, offMotion, offSize, offSteps } from "./recommended.js"
import { presets } from "./sizes.js"

const SVG = "http://www.w3.org/2000/svg"
const BOX = [200, 28]

/** host: {document, say(name, values), and to a promise each answer(query), recommended(checkpoint), picture(node)}: what
 * the page and the server know.
 */
export const PANELS = {
  StableVideoFitImage(node, host) {
    const panel = new Panel(node, host.document, 20)
    const chooser = host.document.createElement("select")
    panel.body.append(chooser)
    const badge = panel.badge()
    let known
    chooser.addEventListener("change", () => {
      const [width, height] = chooser.value.split("x").map(Number)
      set(node, "width", width)
      set(node, "height", height)
      chooser.selectedIndex = 0
      node.setDirtyCanvas(true, true)
    })
    return {
      panel,
      async update() {
        const size = [setting(node, "width"), setting(node, "height")]
        const problem = checks.size(...size, host.say)
        panel.showError(problem)
        const best = await host.recommended(fittedFor(node))
        badge(problem ? undefined : offSize(best, ...size, host.say))
        const groups = presets(best, await host.picture(upstream(node, "image")), host.say)
        const now = JSON.stringify(groups)
        if (now !== known) fill(chooser, host.say("presets"), groups)
        known = now
      },
    }
  },

  StableVideoCondition(node, host) {
    const panel = new Panel(node, host.document, 15)
    const told = panel.line()
    const badge = panel.badge()
    return {
      panel,
      async update() {
        const { checkpoint, fps, bucket } = conditionSettings(node)
        told(fps === undefined ? "" : host.say("told_fps", { fps: Number((fps - 1).toFixed(3)) }))
        badge(offMotion(await host.recommended(checkpoint), fps, bucket, host.say))
      },
    }
  },

  StableVideoSample(node, host) {
    const panel = new Panel(node, host.document, 64)
    const curve = drawing(panel)
    const words = panel.line()
    const needs = panel.line()
    const short = panel.badge()
    const badges = [panel.badge(), panel.badge(), panel.badge()]
    const clip = new Clip(host.document)
    panel.body.append(clip.element)
    panel.passing.push(clip.element)
    return {
      panel,
      show(strip) {
        panel.remember()
        return clip.show(strip, samplerSettings(node).fps ?? 7)
      },
      async update() {
        const settings = samplerSettings(node)
        const { checkpoint, shape, minimum, maximum, frames, steps, schedule } = settings
        const values = scales(shape, minimum, maximum, frames)
        curve(values)
        words(inWords(values, host.say))
        const answer = await host.answer(question(settings))
        const { text, problem } = answer ? sampling(answer, frames, host.say) : {}
        needs(text)
        short(problem)
        const best = await host.recommended(checkpoint)
        badges[0](offFrames(best, frames, host.say))
        badges[1](offSteps(best, steps, schedule, host.say))
        badges[2](offGuidance(best, Math.max(...values), host.say))
      },
    }
  },

  StableVideoDecode(node, host) {
    const panel = new Panel(node, host.document, 15)
    const needs = panel.line()
    const badge = panel.badge()
    return {
      panel,
      async update() {
        const answer = await host.answer(question(decoderSettings(node)))
        const { text, problem } = answer ? decoding(answer, host.say) : {}
        needs(text)
        badge(problem)
      },
    }
  },
}

function fill(chooser, title, groups) {
  const { ownerDocument: document } = chooser
  const hint = new Option(title, "", true, true)
  hint.disabled = true
  chooser.replaceChildren(hint)
  for (const { label, sizes } of groups) {
    const group = document.createElement("optgroup")
    group.label = label
    for (const [width, height] of sizes) group.append(new Option(`${width} × ${height}`, `${width}x${height}`))
    chooser.append(group)
  }
}

/** The guidance's bars; nothing is drawn where it is unknown. */
function drawing(panel) {
  const picture = panel.document.createElementNS(SVG, "svg")
  const path = panel.document.createElementNS(SVG, "path")
  picture.setAttribute("viewBox", `0 0 ${BOX.join(" ")}`)
  picture.setAttribute("preserveAspectRatio", "none")
  picture.append(path)
  panel.body.append(picture)
  return (values) => path.setAttribute("d", bars(values, ...BOX))
}
