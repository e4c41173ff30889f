import assert from "node:assert/strict"
import { test } from "node:test"
import { offFrames, offGrid, offMotion } from "../../web/svd/training.js"
import { Words } from "../../web/svd/words.js"

const { say } = new Words()

test("sizes off the grid", () => {
  assert.equal(offGrid(1024, 576, say), undefined)
  assert.equal(offGrid(1000, 576, say), "Multiples of 64 work best: 1024 × 576.")
  assert.equal(offGrid(16, 16, say), "Multiples of 64 work best: 64 × 64.")
  assert.equal(offGrid(undefined, 570, say), undefined)
})

test("frames other than the checkpoint's", () => {
  assert.equal(offFrames(25, 25, say), undefined)
  assert.equal(offFrames(14, 25, say), "This checkpoint was trained on 25 frames.")
  assert.equal(offFrames(25, 14, say), "This checkpoint was trained on 14 frames.")
  assert.equal(offFrames(25, null, say), undefined)
  assert.equal(offFrames(undefined, 25, say), undefined)
})

test("XT 1.1 away from its fps and bucket", () => {
  for (const name of [
    "svd_xt_1_1.safetensors",
    "a/stable-video-diffusion-img2vid-xt-1-1",
    "SVD_XT_1.1_fp16.safetensors",
  ]) {
    assert.equal(offMotion(name, 6, 127, say), undefined)
    assert.equal(offMotion(name, 7, 127, say), "SVD-XT 1.1 was trained with fps 6 only.")
    assert.equal(offMotion(name, 6, 60, say), "SVD-XT 1.1 was trained with motion bucket 127 only.")
    assert.equal(offMotion(name, 7, 60, say), "SVD-XT 1.1 was trained with fps 6 and motion bucket 127 only.")
  }
})

test("other checkpoints are free", () => {
  assert.equal(offMotion("svd_xt.safetensors", 12, 60, say), undefined)
  assert.equal(offMotion(undefined, 12, 60, say), undefined)
  assert.equal(offMotion("svd_xt_1_1.safetensors", undefined, undefined, say), undefined)
})
