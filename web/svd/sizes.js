/** Sizes of a video that suit the model: multiples of 64, about as many pixels as it was trained on, or fewer. */

const GRID = 64
const TRAINED = 1024 * 576
const SHARES = [1, 1 / 2, 1 / 4]
const USUAL = [
  [1024, 576],
  [576, 1024],
  [768, 768],
  [256, 256],
]

/** The size on the grid that is nearest to a shape (width / height) and an area, shape counting double. */
export function nearest(shape, area) {
  let best
  for (let width = GRID; width <= 2048; width += GRID) {
    for (let height = GRID; height <= 2048; height += GRID) {
      const off = 2 * Math.abs(Math.log(width / height / shape)) + Math.abs(Math.log((width * height) / area))
      if (!best || off < best.off) best = { width, height, off }
    }
  }
  return [best.width, best.height]
}

/** Groups of sizes to choose from. picture: {width, height}, or undefined while it is not known. */
export function presets(picture, say) {
  const usual = { label: say("presets_usual"), sizes: USUAL }
  if (!(picture?.width > 0 && picture?.height > 0)) return [usual]
  const shape = picture.width / picture.height
  const fitting = SHARES.map((share) => nearest(shape, TRAINED * share))
  const different = fitting.filter(([w, h], i) => fitting.findIndex(([x, y]) => x === w && y === h) === i)
  return [{ label: say("presets_picture", picture), sizes: different }, usual]
}
