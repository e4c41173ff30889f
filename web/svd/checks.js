/** Settings that the nodes refuse, in English in the nodes' own words: what is wrong is said before a run. */

export function size(width, height, say) {
  if (!(width > 0 && height > 0) || (width % 8 === 0 && height % 8 === 0)) return undefined
  const [wide, high] = [width, height].map((side) => 8 * Math.max(1, halfEven(side / 8)))
  return say("refused_size", { width, height, wide, high })
}

/** Rounded as Python rounds. */
function halfEven(number) {
  const rounded = Math.round(number)
  return number % 1 === 0.5 && rounded % 2 ? rounded - 1 : rounded
}
