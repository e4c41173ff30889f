import assert from "node:assert/strict"
import { test } from "node:test"
import { inOrder, order } from "../../web/svd/templates.js"

const TOLD = { other: ["b", "a"], "svd-nodes": ["text_to_video", "compare_motion", "quickstart", "from_core"] }
const WANTED = { other: ["b", "a"], "svd-nodes": ["quickstart", "compare_motion", "from_core", "text_to_video"] }

test("the quickstart is first, and other packs' templates stay as they are", () => {
  assert.deepEqual(inOrder(TOLD, "svd-nodes"), WANTED)
  assert.deepEqual(TOLD["svd-nodes"][0], "text_to_video", "the answer itself is not changed")
})

test("an answer without ours, or none, goes through", () => {
  for (const answer of [{ other: ["b", "a"] }, {}, undefined, { "svd-nodes": "odd" }]) {
    assert.equal(inOrder(answer, "svd-nodes"), answer)
  }
})

test("the page is told them in order", async () => {
  const api = {
    told: TOLD,
    async getWorkflowTemplates() {
      return this.told
    },
  }
  order(api, "svd-nodes")
  assert.deepEqual(await api.getWorkflowTemplates(), WANTED)
  const bare = {}
  order(bare, "svd-nodes")
  assert.deepEqual(bare, {})
})
