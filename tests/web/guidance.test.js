import assert from "node:assert/strict"
import { test } from "node:test"
import { bars, inWords, scales } from "../../web/svd/guidance.js"
import { Words } from "../../web/svd/words.js"

const { say } = new Words()

test("one scale a frame", () => {
  assert.deepEqual(scales("linear", 1, 3, 5), [1, 1.5, 2, 2.5, 3])
  assert.deepEqual(scales("triangle", 1, 3, 5), [1, 2, 3, 2, 1])
  assert.deepEqual(scales("constant", 1, 3, 2), [3, 3])
  assert.deepEqual(scales("linear", 1, 3, 1), [1])
})

test("nothing where a setting is unknown", () => {
  assert.deepEqual(scales("linear", undefined, 3, 5), [])
  assert.deepEqual(scales("cosine", 1, 3, 5), [])
  assert.deepEqual(scales("linear", 1, 3, undefined), [])
  assert.equal(bars([], 200, 28), "")
  assert.equal(inWords([], say), "")
})

test("a bar a frame, the strongest as high as the box", () => {
  const path = bars([1, 3], 200, 30)
  assert.equal(path, "M0 30V20h99V30zM100 30V0h99V30z")
  assert.equal(bars(scales("linear", 1, 3, 25), 200, 28).match(/M/g).length, 25)
})

test("in words", () => {
  assert.equal(inWords(scales("linear", 1, 3, 25), say), "guidance 1 → 3")
  assert.equal(inWords(scales("triangle", 1, 2.5, 25), say), "guidance 1 → 2.5 → 1")
  assert.equal(inWords(scales("linear", 3, 1, 25), say), "guidance 3 → 1")
  assert.equal(inWords(scales("triangle", 3, 1, 25), say), "guidance 3 → 1 → 3")
  assert.equal(inWords(scales("constant", 1, 2, 25), say), "guidance 2 in every frame")
  assert.equal(inWords(scales("linear", 1, 1, 25), say), "no guidance: steps take half the time")
})
