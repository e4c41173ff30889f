/** The guidance of every frame, as `svd/guidance.py` has it, and its picture. */

const SHAPES = {
  linear: (v, low, high) => low + (high - low) * v,
  triangle: (v, low, high) => low + (high - low) * 2 * Math.abs(v - Math.floor(v + 0.5)),
  constant: (_v, _low, high) => high,
}

/** One scale a frame; nothing where a setting is unknown. */
export function scales(shape, low, high, frames) {
  const at = SHAPES[shape]
  if (!at || !Number.isFinite(low) || !Number.isFinite(high) || !(frames >= 1)) return []
  return Array.from({ length: frames }, (_, i) => at(frames > 1 ? i / (frames - 1) : 0, low, high))
}

/** A bar a frame as an SVG path in a box `width` x `height`. */
export function bars(values, width, height) {
  const top = Math.max(1, ...values)
  const wide = width / values.length
  const gap = wide > 3 ? 1 : 0
  return values
    .map((value, i) => {
      const high = Math.max(1, (value / top) * height)
      return `M${round(i * wide)} ${height}V${round(height - high)}h${round(wide - gap)}V${height}z`
    })
    .join("")
}

/** The same in words. */
export function inWords(values, say) {
  if (!values.length) return ""
  const [first, last] = [values[0], values.at(-1)].map(short)
  const peak = short(values.reduce((a, b) => (Math.abs(b - values[0]) > Math.abs(a - values[0]) ? b : a)))
  if (values.every((value) => value === 1)) return say("guidance_none")
  if (first === last && last === peak) return say("guidance_same", { first })
  return say(peak === last || peak === first ? "guidance_line" : "guidance_peak", { first, peak, last })
}

const round = (number) => Math.round(number * 100) / 100
const short = (number) => String(round(number))
