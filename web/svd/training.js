/** Settings that are legal, but away from what a checkpoint was trained on. Each answer is a sentence, or undefined. */

const XT_1_1 = /xt[_.-]?1[_.-]1/i

export function offGrid(width, height, say) {
  if (!(width > 0 && height > 0) || (width % 64 === 0 && height % 64 === 0)) return undefined
  const [wide, high] = [width, height].map((side) => Math.max(64, Math.round(side / 64) * 64))
  return say("off_grid", { width: wide, height: high })
}

/** trained: the frames of the checkpoint, null where it does not tell. */
export function offFrames(frames, trained, say) {
  if (!frames || !trained || frames === trained) return undefined
  return say("off_frames", { frames: trained })
}

export function offMotion(checkpoint, fps, bucket, say) {
  if (!XT_1_1.test(checkpoint ?? "")) return undefined
  const wrong = [fps !== undefined && fps !== 6, bucket !== undefined && bucket !== 127]
  if (!wrong.includes(true)) return undefined
  return say(wrong[0] && wrong[1] ? "off_both" : wrong[0] ? "off_fps" : "off_bucket")
}
