import assert from "node:assert/strict"
import { test } from "node:test"
import { decoding, duration, question, sampling } from "../../web/svd/needs.js"

const GIB = 2 ** 30
const SETTINGS = {
  ...{ checkpoint: "svd_xt.safetensors", precision: "auto", width: 1024, height: 576, frames: 25, steps: 25 },
  ...{ shape: "linear", minimum: 1, maximum: 3 },
}
const ANSWER = {
  ...{ card: 24 * GIB, weights: 2.8 * GIB, sampling: 8.4 * GIB, sampling_seconds: 40 },
  ...{ decoding: 12.3 * GIB, decoding_seconds: null, fitting_chunk: 25 },
}

test("the question holds every setting", () => {
  const asked = Object.fromEntries(new URLSearchParams(question(SETTINGS)))
  const numbers = { width: "1024", height: "576", frames: "25", steps: "25", frames_per_chunk: "25" }
  assert.deepEqual(asked, { checkpoint: "svd_xt.safetensors", precision: "auto", ...numbers, guided: "1" })
  assert.match(question({ ...SETTINGS, maximum: 1 }), /guided=0/)
  assert.match(question({ ...SETTINGS, frames_per_chunk: 7 }), /frames_per_chunk=7/)
})

test("no question while a setting is unknown", () => {
  assert.equal(question({ ...SETTINGS, width: undefined }), undefined)
})

test("what sampling takes", () => {
  assert.deepEqual(sampling(ANSWER), { text: "≈ 11 of 24 GiB · ≈ 40 s" })
  assert.equal(sampling({ ...ANSWER, card: 10 * GIB }).text, "≈ 11 of 10 GiB · ≈ 40 s · weights are streamed")
  assert.match(sampling({ ...ANSWER, card: 8 * GIB }).problem, /^More memory than there is: fewer frames/)
  assert.deepEqual(sampling({ ...ANSWER, card: null }), { text: "≈ 11 GiB · ≈ 40 s" })
})

test("what decoding takes, and the chunk that would fit", () => {
  assert.deepEqual(decoding(ANSWER), { text: "≈ 12 of 24 GiB · time: after a run" })
  const tight = decoding({ ...ANSWER, card: 12 * GIB, fitting_chunk: 11 })
  assert.equal(tight.problem, "More memory than there is: set frames_per_chunk to 11.")
  assert.match(decoding({ ...ANSWER, card: GIB, fitting_chunk: 0 }).problem, /choose a smaller size/)
})

test("durations", () => {
  assert.deepEqual([null, 0.42, 9.94, 42.4, 130].map(duration), [
    ...["time: after a run", "≈ 0.4 s", "≈ 9.9 s", "≈ 42 s", "≈ 2 min"],
  ])
})
