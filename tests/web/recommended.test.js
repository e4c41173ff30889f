import assert from "node:assert/strict"
import { test } from "node:test"
import { offFrames, offGuidance, offMotion, offSize, offSteps, trainedSizes } from "../../web/svd/recommended.js"
import { Words } from "../../web/svd/words.js"

const { say } = new Words()

// What is said of known settings is compared with Python in tests/test_web.py; here, what is not known.
const XT_1_1 = {
  ...{ width: 1024, height: 576, frames: 25, fps: 6, motion_bucket_id: 127, always: "SVD-XT 1.1" },
  ...{ steps: 25, schedule: "karras", max_guidance: 3 },
}

test("of a checkpoint that is not known, the grid alone is", () => {
  assert.equal(offSize(undefined, 256, 256, say), undefined)
  assert.equal(offSize(undefined, 1000, 576, say), "Multiples of 64 work best: 1024 × 576.")
  const others = [offFrames(undefined, 3, say), offMotion(undefined, 60, 999, say), offGuidance(undefined, 50, say)]
  assert.deepEqual([...others, offSteps(undefined, 1, "karras", say)], [undefined, undefined, undefined, undefined])
})

test("of a setting that is not known nothing is said", () => {
  const told = [
    offSize(XT_1_1, undefined, 570, say),
    offFrames(XT_1_1, undefined, say),
    offFrames({ ...XT_1_1, frames: null }, 3, say),
    offMotion(XT_1_1, undefined, undefined, say),
    offMotion({ ...XT_1_1, always: null }, 7, undefined, say),
    offGuidance(XT_1_1, Math.max(...[]), say),
    offSteps(XT_1_1, undefined, "karras", say),
    offSteps(XT_1_1, 3, undefined, say),
  ]
  for (const sentence of told) assert.equal(sentence, undefined)
})

test("one of fps and bucket may be known alone", () => {
  assert.equal(offMotion(XT_1_1, 7, undefined, say), "SVD-XT 1.1 was trained with fps 6 only.")
  assert.equal(offMotion(XT_1_1, undefined, 60, say), "SVD-XT 1.1 was trained with motion bucket 127 only.")
})

test("the trained size lies and stands", () => {
  assert.deepEqual(trainedSizes(XT_1_1), [
    [1024, 576],
    [576, 1024],
  ])
  assert.deepEqual(trainedSizes({ width: 256, height: 256 }), [[256, 256]])
})
