/** Settings that the nodes refuse, in their own words, so that a node says what is wrong before it is run. */

export function size(width, height) {
  if (!(width > 0 && height > 0) || (width % 8 === 0 && height % 8 === 0)) return undefined
  const [wide, high] = [width, height].map((side) => 8 * Math.max(1, halfEven(side / 8)))
  return `The size ${width} x ${height} does not divide by 8: use ${wide} x ${high}.`
}

export function guidance(shape, minimum, maximum) {
  if (shape === undefined || shape === "constant" || !(minimum > maximum)) return undefined
  return `min_guidance ${short(minimum)} is above max_guidance ${short(maximum)}: swap them.`
}

/** Rounded as Python rounds. */
function halfEven(number) {
  const rounded = Math.round(number)
  return number % 1 === 0.5 && rounded % 2 ? rounded - 1 : rounded
}

const short = (number) => String(Number(number.toPrecision(6)))
