/** What a run will need: the question for the server, and its answer in words. */

import { scales } from "./guidance.js"

const NEEDED = ["checkpoint", "precision", "width", "height", "frames", "steps"]
const SHARE = 0.9 // of a card's memory that can be used, as in nodes/shortage.py

/** The query for /svd-nodes/estimate; undefined where a setting is unknown. */
export function question(settings) {
  if (NEEDED.some((name) => settings[name] === undefined)) return undefined
  const values = scales(settings.shape, settings.minimum, settings.maximum, settings.frames)
  const guided = values.length === 0 || values.some((value) => value !== 1)
  const asked = NEEDED.map((name) => [name, settings[name]])
  asked.push(["frames_per_chunk", settings.frames_per_chunk ?? settings.frames], ["guided", guided ? 1 : 0])
  return new URLSearchParams(asked).toString()
}

/** {text, problem}: what sampling takes. */
export function sampling(answer) {
  const { card, weights, sampling: activations, sampling_seconds: time } = answer
  const text = `${memory(weights + activations, card)} · ${duration(time)}`
  if (!card) return { text }
  if (activations > SHARE * card) return { text, problem: "More memory than there is: fewer frames or a smaller size." }
  if (weights + activations > card) return { text: `${text} · weights are streamed` }
  return { text }
}

/** {text, problem}: what decoding takes. */
export function decoding(answer) {
  const { card, decoding: activations, decoding_seconds: time, fitting_chunk: fits } = answer
  const text = `${memory(activations, card)} · ${duration(time)}`
  if (!card || activations <= SHARE * card) return { text }
  const remedy = fits ? `set frames_per_chunk to ${fits}` : "choose a smaller size"
  return { text, problem: `More memory than there is: ${remedy}.` }
}

export function memory(bytes, card) {
  return card ? `≈ ${gib(bytes)} of ${gib(card)} GiB` : `≈ ${gib(bytes)} GiB`
}

export function duration(seconds) {
  if (seconds == null) return "time: after a run"
  if (seconds < 100) return `≈ ${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`
  return `≈ ${Math.round(seconds / 60)} min`
}

function gib(bytes) {
  const amount = bytes / 2 ** 30
  return amount < 10 ? amount.toFixed(1) : String(Math.round(amount))
}
