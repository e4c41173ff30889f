/** Settings that are legal, but away from what a checkpoint was trained on. Each answer is a sentence, or undefined. */

const XT_1_1 = /xt[_.-]?1[_.-]1/i

export function offGrid(width, height) {
  if (!(width > 0 && height > 0) || (width % 64 === 0 && height % 64 === 0)) return undefined
  const [wide, high] = [width, height].map((side) => Math.max(64, Math.round(side / 64) * 64))
  return `Multiples of 64 work best: ${wide} × ${high}.`
}

/** trained: the frames of the checkpoint, null where it does not tell. */
export function offFrames(frames, trained) {
  if (!frames || !trained || frames === trained) return undefined
  return `This checkpoint was trained on ${trained} frames.`
}

export function offMotion(checkpoint, fps, bucket) {
  if (!XT_1_1.test(checkpoint ?? "")) return undefined
  const wrong = [
    fps !== undefined && fps !== 6 && "fps 6",
    bucket !== undefined && bucket !== 127 && "motion bucket 127",
  ]
  const right = wrong.filter(Boolean)
  return right.length ? `SVD-XT 1.1 was trained with ${right.join(" and ")} only.` : undefined
}
