/** Sizes of a video that suit the model: multiples of 64, about as many pixels as it was trained on, or fewer. */

import { offSize, trainedSizes } from "./recommended.js"

const GRID = 64
const SHARES = [1, 3 / 4, 1 / 2]
const USUAL = { width: 1024, height: 576 } // of SVD, while the checkpoint is not known

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

/** Groups of sizes to choose from, the checkpoint's own first. None of them gets a warning.
 *
 * best: what the checkpoint is at its best with; picture: {width, height}; both undefined while they are not known.
 */
export function presets(best, picture, say) {
  const trained = best ?? USUAL
  const own = { label: say(best ? "presets_checkpoint" : "presets_usual"), sizes: trainedSizes(trained) }
  if (!(picture?.width > 0 && picture?.height > 0)) return [own]
  const shape = picture.width / picture.height
  const sizes = SHARES.map((share) => nearest(shape, trained.width * trained.height * share))
    .filter(([width, height]) => !offSize(trained, width, height, say))
    .filter(([width, height], i, all) => all.findIndex(([w, h]) => w === width && h === height) === i)
  return [own, { label: say("presets_picture", picture), sizes }].filter((group) => group.sizes.length)
}
