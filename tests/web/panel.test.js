import assert from "node:assert/strict"
import { test } from "node:test"
import { Panel } from "../../web/svd/panel.js"

const WIDGETS = 290 // what else the node holds, and the panel's margins
let observed

globalThis.ResizeObserver = class {
  constructor(seen) {
    observed = seen
  }
  observe() {}
}

/** A node with a panel that takes 64 at first; `shows` changes the height of what is in it. */
function fake(height) {
  const element = () => ({
    hidden: false,
    tall: 15,
    get offsetHeight() {
      return this.hidden ? 0 : this.tall
    },
    set offsetHeight(tall) {
      this.tall = tall
    },
    append(child) {
      this.lastChild = child
    },
  })
  const node = {
    graph: {},
    size: [240, height],
    addDOMWidget: (_name, _type, _element, options) => Object.assign(node, { tall: options.getMinHeight }) && {},
    computeSize: () => [240, WIDGETS + node.tall()],
    setSize(size) {
      node.size = size
    },
    setDirtyCanvas() {},
    serialize() {
      const saved = { size: [...node.size] }
      node.onSerialize(saved)
      return saved
    },
  }
  const panel = new Panel(node, { createElement: element }, 64)
  const shows = (tall) => {
    panel.body.offsetHeight = tall
    observed()
    return node.size[1]
  }
  return { node, shows, panel }
}

const LEAST = WIDGETS + 64 + 12

test("a node grows with its panel, and shrinks again", () => {
  const { shows } = fake(LEAST)
  assert.deepEqual(
    [64, 97, 64, 49, 64].map(shows),
    [0, 33, 0, -15, 0].map((more) => LEAST + more),
  )
})

test("a node that is too low grows", () => {
  const { shows } = fake(100)
  assert.equal(shows(97), LEAST + 33)
})

test("a height that a user has chosen comes back when what needed more is gone", () => {
  const { node, shows } = fake(LEAST + 20)
  assert.deepEqual([97, 79, 64].map(shows), [LEAST + 33, LEAST + 20, LEAST + 20])
  shows(97)
  node.size = [240, 600]
  assert.deepEqual([64, 97, 64].map(shows), [600, 600, 600])
})

test("a node is saved as high as it is without what its panel shows for a while", () => {
  const { node, shows } = fake(LEAST)
  shows(264)
  assert.deepEqual(node.serialize().size, [240, LEAST])
  node.size = [240, 700]
  assert.deepEqual(node.serialize().size, [240, 700])
  shows(64)
  assert.deepEqual(node.serialize().size, [240, 700])
})

test("a height chosen before the panel grew is the one that is saved", () => {
  const { node, shows } = fake(LEAST + 20)
  shows(97)
  assert.deepEqual(node.serialize().size, [240, LEAST + 20])
})

test("a Vue node, which grows by itself, is saved without the height of a sentence", (test) => {
  globalThis.LiteGraph = { vueNodesMode: true }
  test.after(() => delete globalThis.LiteGraph)
  const { node, shows, panel } = fake(LEAST)
  const settled = (size, tall) => {
    node.size = [240, size]
    shows(tall)
    return node.serialize().size[1]
  }
  assert.equal(settled(LEAST, 64), LEAST)
  panel.showError("wrong")
  assert.equal(settled(LEAST + 18, 82), LEAST)
  assert.equal(settled(LEAST + 118, 82), LEAST + 100, "made higher by hand meanwhile")
  panel.showError()
  assert.equal(settled(LEAST + 10, 64), LEAST + 10)
  panel.showError("wrong")
  assert.equal(settled(LEAST + 18, 82), LEAST + 10, "a part of the sentence had its place already")
})
