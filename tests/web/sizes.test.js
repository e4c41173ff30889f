import assert from "node:assert/strict"
import { test } from "node:test"
import { nearest, presets } from "../../web/svd/sizes.js"
import { Words } from "../../web/svd/words.js"

const { say } = new Words()

const PICTURES = [
  [1920, 1080],
  [1080, 1920],
  [3000, 2000],
  [4032, 3024],
  [512, 512],
  [2560, 1080],
  [801, 607],
]

for (const [width, height] of PICTURES) {
  test(`sizes for ${width} x ${height} are multiples of 64 and of its shape`, () => {
    const [fitting, usual] = presets({ width, height }, say)
    assert.ok(fitting.sizes.length >= 2)
    for (const [w, h] of [...fitting.sizes, ...usual.sizes]) assert.equal((w % 64) + (h % 64), 0)
    for (const [w, h] of fitting.sizes) {
      assert.ok(Math.abs(Math.log(w / h / (width / height))) < 0.13, `${w} x ${h}`)
      assert.ok(w * h < 1.3 * 1024 * 576)
    }
    assert.ok(fitting.label.includes(`${width} × ${height}`))
  })
}

test("the trained size is the one for its own shape", () => {
  assert.deepEqual(nearest(16 / 9, 1024 * 576), [1024, 576])
  assert.deepEqual(nearest(9 / 16, 1024 * 576), [576, 1024])
})

test("without a picture only the usual sizes are there", () => {
  for (const picture of [undefined, { width: 0, height: 0 }]) {
    assert.deepEqual(
      presets(picture, say).map(({ label }) => label),
      ["usual"],
    )
  }
})
