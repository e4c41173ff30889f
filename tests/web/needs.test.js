import assert from "node:assert/strict"
import { test } from "node:test"
import { decoding, duration, question, sampling } from "../../web/svd/needs.js"
import { Words } from "../../web/svd/words.js"

const { say } = new Words()

const GIB = 2 ** 30
const SETTINGS = {
  ...{ checkpoint: "svd_xt.safetensors", precision: "auto", memory: "auto", width: 1024, height: 576 },
  ...{ frames: 25, steps: 25, shape: "linear", minimum: 1, maximum: 3 },
}
const ANSWER = {
  ...{ card: 24 * GIB, weights: 2.8 * GIB, sampling: 8.4 * GIB, sampling_seconds: 40 },
  ...{ decoding: 12.3 * GIB, decoding_at_most: 12.3 * GIB, decoding_seconds: null, fitting_chunk: 25 },
}

test("the question holds every setting", () => {
  const asked = Object.fromEntries(new URLSearchParams(question(SETTINGS)))
  const numbers = { width: "1024", height: "576", frames: "25", steps: "25", frames_per_chunk: "25" }
  const choices = { checkpoint: "svd_xt.safetensors", precision: "auto", memory: "auto" }
  assert.deepEqual(asked, { ...choices, ...numbers, guided: "1" })
  assert.match(question({ ...SETTINGS, maximum: 1 }), /guided=0/)
  assert.match(question({ ...SETTINGS, frames_per_chunk: 7 }), /frames_per_chunk=7/)
})

test("no question while a setting is unknown", () => {
  for (const name of ["width", "memory"]) assert.equal(question({ ...SETTINGS, [name]: undefined }), undefined)
})

test("what sampling takes", () => {
  const told = (changes, frames = 25) => sampling({ ...ANSWER, ...changes }, frames, say)
  assert.deepEqual(told({}), { text: "≈ 11 of 24 GiB · ≈ 40 s" })
  assert.equal(told({ card: 10 * GIB }).text, "≈ 11 of 10 GiB · ≈ 40 s · weights are streamed")
  assert.deepEqual(told({ card: null }), { text: "≈ 11 GiB · ≈ 40 s" })
})

test("what to do where sampling needs too much: only what is not done yet", () => {
  const advice = (together, frames) => sampling({ ...ANSWER, card: 8 * GIB, together }, frames, say).problem
  const begin = "More memory than there is: "
  assert.equal(advice(2, 25), `${begin}set memory to low, or set frames lower, or choose a smaller size.`)
  assert.equal(advice(1, 25), `${begin}set frames lower, or choose a smaller size.`)
  assert.equal(advice(1, 1), `${begin}choose a smaller size.`)
})

test("what decoding takes, and the chunk that would fit", () => {
  const told = (changes) => decoding({ ...ANSWER, ...changes }, say)
  assert.deepEqual(told({}), { text: "≈ 12 of 24 GiB · time: after a run" })
  const tight = told({ card: 12 * GIB, fitting_chunk: 11 })
  assert.equal(tight.problem, "More memory than there is: set frames_per_chunk to 11.")
  assert.match(told({ card: GIB, fitting_chunk: 0 }).problem, /choose a smaller size/)
})

test("what decoding takes where there is room is no more than there is", () => {
  const bytes = (changes) => decoding({ ...ANSWER, ...changes }, say).text.split(" ·")[0]
  assert.equal(bytes({ decoding_at_most: 20 * GIB }), "≈ 12–20 of 24 GiB")
  assert.equal(bytes({ decoding_at_most: 40 * GIB }), "≈ 12–24 of 24 GiB")
  assert.equal(bytes({ decoding_at_most: 40 * GIB, card: 8 * GIB }), "≈ 12 of 8.0 GiB")
  assert.equal(bytes({ decoding_at_most: 40 * GIB, card: null }), "≈ 12–40 GiB")
})

test("durations", () => {
  assert.deepEqual(
    [null, 0.42, 9.94, 42.4, 130, 10_740, 18_960].map((seconds) => duration(seconds, say)),
    ["time: after a run", "≈ 0.4 s", "≈ 9.9 s", "≈ 42 s", "≈ 2 min", "≈ 179 min", "≈ 5 h"],
  )
})
