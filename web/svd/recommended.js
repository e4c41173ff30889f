/** Settings that are legal, but away from what a checkpoint is at its best with: as svd/recommended.py has it.
 *
 * best: what the server tells of the checkpoint, with the names of `Recommended`; undefined while it is not known.
 * Each answer is a sentence, or undefined.
 */

const GRID = 64 // what the sides of training's sizes are multiples of
const FAR = 1.5 // times the recommended motion or guidance, a clip begins to suffer

/** [width, height] as trained, and on its side where that is another. */
export function trainedSizes({ width, height }) {
  const trained = [width, height]
  return width === height ? [trained] : [trained, [height, width]]
}

/** A size of less than half or more than twice the pixels, or off the grid. */
export function offSize(best, width, height, say) {
  if (!(width > 0 && height > 0)) return undefined
  const share = best ? (width * height) / (best.width * best.height) : 1
  if (share < 1 / 2 || share > 2) {
    const sizes = trainedSizes(best).map(([wide, high]) => `${wide} × ${high}`)
    return say("off_size", { sizes: sizes.join(say("or_size")) })
  }
  if (width % GRID === 0 && height % GRID === 0) return undefined
  const [wide, high] = [width, height].map((side) => Math.max(GRID, Math.round(side / GRID) * GRID))
  return say("off_grid", { width: wide, height: high })
}

export function offFrames(best, frames, say) {
  if (!best?.frames || !frames || frames === best.frames) return undefined
  return say("off_frames", { frames: best.frames })
}

/** fps and bucket of a model that knows one of each; else a bucket that is far above what is good. */
export function offMotion(best, fps, bucket, say) {
  if (!best) return undefined
  const { always: model, motion_bucket_id: good } = best
  if (!model) return isFarAbove(good, bucket) ? say("off_motion", { bucket: good }) : undefined
  const [fast, moved] = [fps !== undefined && fps !== best.fps, bucket !== undefined && bucket !== good]
  const word = fast && moved ? "off_both" : fast ? "off_fps" : moved ? "off_bucket" : undefined
  return word && say(word, { model, fps: short(best.fps), bucket: good })
}

/** highest: the guidance of the frame that has most of it. */
export function offGuidance(best, highest, say) {
  if (!best || !isFarAbove(best.max_guidance, highest)) return undefined
  return say("off_guidance", { guidance: short(best.max_guidance) })
}

/** Fewer than half the steps. Of another schedule than the recommended one it is not known. */
export function offSteps(best, steps, schedule, say) {
  if (!best || !(steps > 0) || schedule !== best.schedule || 2 * steps >= best.steps) return undefined
  return say("off_steps", { steps: best.steps })
}

const isFarAbove = (best, value) => value > best && value >= FAR * best
const short = (number) => String(Number(number.toPrecision(6)))
