import assert from "node:assert/strict"
import { test } from "node:test"
import { offSize } from "../../web/svd/recommended.js"
import { nearest, presets } from "../../web/svd/sizes.js"
import { Words } from "../../web/svd/words.js"

const { say } = new Words()

const XT = { width: 1024, height: 576 }
const NANO = { width: 256, height: 256 }
const PICTURES = [
  [1920, 1080],
  [1080, 1920],
  [3000, 2000],
  [4032, 3024],
  [512, 512],
  [2560, 1080],
  [801, 607],
]

for (const best of [XT, NANO]) {
  for (const [width, height] of PICTURES) {
    test(`${best.width} x ${best.height}: sizes for ${width} x ${height} have its shape, and none gets a warning`, () => {
      const [own, fitting] = presets(best, { width, height }, say)
      assert.equal(own.label, "of this checkpoint")
      assert.deepEqual(own.sizes[0], [best.width, best.height])
      assert.ok(fitting.label.includes(`${width} × ${height}`))
      assert.ok(fitting.sizes.length >= 1)
      for (const size of [...own.sizes, ...fitting.sizes]) assert.equal(offSize(best, ...size, say), undefined)
      const coarse = best === NANO ? 0.2 : 0.13 // a side of 256 is four steps of the grid
      for (const [w, h] of fitting.sizes) {
        assert.ok(Math.abs(Math.log(w / h / (width / height))) < coarse, `${w} x ${h}`)
        assert.ok(w * h < 1.35 * best.width * best.height)
      }
    })
  }
}

test("the trained size is the one for its own shape", () => {
  assert.deepEqual(nearest(16 / 9, 1024 * 576), [1024, 576])
  assert.deepEqual(nearest(9 / 16, 1024 * 576), [576, 1024])
})

test("without a checkpoint they are SVD's, without a picture only the trained ones are there", () => {
  for (const picture of [undefined, { width: 0, height: 0 }]) {
    assert.deepEqual(presets(undefined, picture, say), [
      {
        label: "usual",
        sizes: [
          [1024, 576],
          [576, 1024],
        ],
      },
    ])
  }
  assert.deepEqual(presets(NANO, undefined, say), [{ label: "of this checkpoint", sizes: [[256, 256]] }])
})
