import assert from "node:assert/strict"
import { test } from "node:test"
import { COLOURS, colour, RULE } from "../../web/svd/colours.js"

test("every type has a colour of its own, in both renderers", () => {
  assert.equal(new Set(Object.values(COLOURS)).size, Object.keys(COLOURS).length)
  for (const [type, value] of Object.entries(COLOURS)) assert.ok(RULE.includes(`--color-datatype-${type}: ${value};`))
})

test("a palette's own colours stay, its blanks are filled", () => {
  class Canvas {
    static link_type_colors = { SVD_MODEL: "", SVD_VAE: "#123456", IMAGE: "#64b5f6" }
    default_connection_color_byType = {}
  }
  const canvas = new Canvas()
  colour(canvas)
  assert.equal(Canvas.link_type_colors.SVD_MODEL, COLOURS.SVD_MODEL)
  assert.equal(Canvas.link_type_colors.SVD_VAE, "#123456")
  assert.equal(Canvas.link_type_colors.IMAGE, "#64b5f6")
  assert.deepEqual(canvas.default_connection_color_byType, COLOURS)
})
