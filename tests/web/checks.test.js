import assert from "node:assert/strict"
import { test } from "node:test"
import { size } from "../../web/svd/checks.js"
import { Words } from "../../web/svd/words.js"

const { say } = new Words()

test("sizes that do not divide", () => {
  assert.equal(size(1024, 576, say), undefined)
  assert.equal(size(undefined, 571, say), undefined)
  assert.equal(size(500, 576, say), "The size 500 x 576 does not divide by 8: use 496 x 576.")
})
