/** What a run will need: the question for the server, and its answer in words. */

import { scales } from "./guidance.js"

const NEEDED = ["checkpoint", "precision", "memory", "width", "height", "frames", "steps"]
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

/** {text, problem}: what sampling so many frames takes. */
export function sampling(answer, frames, say) {
  const { card, weights, sampling: activations, sampling_seconds: time } = answer
  const text = `${memory(weights + activations, card, say)} · ${duration(time, say)}`
  if (card && activations > SHARE * card) {
    const remedies = [answer.together > 1 && "short_low", frames > 1 && "short_frames", "short_size"]
    return { text, problem: short(remedies, {}, say) }
  }
  return { text: card && weights + activations > card ? `${text} · ${say("streamed")}` : text }
}

/** {text, problem}: what decoding takes. */
export function decoding(answer, say) {
  const { card, decoding: least, decoding_at_most: most, decoding_seconds: time, fitting_chunk: fits } = answer
  const text = `${memory(least, card, say, most)} · ${duration(time, say)}`
  if (!card || least <= SHARE * card) return { text }
  return { text, problem: short([fits ? "short_chunk" : "short_size"], { frames: fits }, say) }
}

/** What is needed, from the least to the most that it takes where there is room. */
export function memory(least, card, say, most = least) {
  const bounds = [gib(least), gib(Math.max(least, Math.min(most, card ?? most)))]
  const needed = [...new Set(bounds)].join("–")
  return card ? say("memory_of", { needed, card: gib(card) }) : say("memory", { needed })
}

export function duration(seconds, say) {
  if (seconds == null) return say("time_unknown")
  if (seconds < 100) return say("seconds", { time: seconds < 10 ? seconds.toFixed(1) : Math.round(seconds) })
  if (seconds < 3 * 3600) return say("minutes", { time: Math.round(seconds / 60) })
  return say("hours", { time: Math.round(seconds / 3600) })
}

function short(remedies, values, say) {
  const told = remedies.filter(Boolean).map((remedy) => say(remedy, values))
  return say("short", { remedies: told.join(say("or")) })
}

function gib(bytes) {
  const amount = bytes / 2 ** 30
  return amount < 10 ? amount.toFixed(1) : String(Math.round(amount))
}
