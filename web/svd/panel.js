/** The lines below a node's widgets: one DOM widget, which has no value and is never saved. */

export const NAME = "svd_panel"
const MARGIN = 6
const GAP = 3

// Colours are mixed with the text's colour: readable in light and in dark palettes.
export const STYLE = `
.svd-panel { overflow: hidden; font: 11px/15px sans-serif; text-align: left;
  color: color-mix(in srgb, var(--descrip-text, #999) 60%, var(--input-text, #ddd)); }
.svd-panel > div { display: flex; flex-direction: column; gap: ${GAP}px; }
.svd-panel [hidden] { display: none; }
.svd-panel select { width: 100%; font: inherit; color: var(--input-text, #ddd); background: var(--comfy-input-bg, #222);
  border: 1px solid var(--border-color, #4e4e4e); border-radius: 4px; padding: 1px 4px; }
.svd-panel button { font: inherit; color: var(--input-text, #ddd); background: var(--comfy-input-bg, #222);
  border: 1px solid var(--p-primary-color, #64b5f6); border-radius: 4px; padding: 2px 4px; cursor: pointer; }
.svd-panel svg { display: block; width: 100%; height: 28px; }
.svd-panel path { fill: var(--p-primary-color, #64b5f6); }
.svd-error { color: color-mix(in srgb, #ff4444 65%, var(--input-text, #ddd)); }
.svd-badge { color: color-mix(in srgb, #f5b942 55%, var(--input-text, #ddd)); padding-left: 17px; text-indent: -17px; }
.svd-badge::before { content: "⚠"; display: inline-block; width: 17px; text-indent: 0; }
.svd-clip { overflow: hidden; max-width: 100%; max-height: 200px; margin: 0 auto; border-radius: 4px; width: 100%; }
.svd-clip canvas { display: block; width: 100%; }
`

/** Whether the editor draws its nodes with Vue ("Nodes 2.0"). */
const inVue = () => globalThis.LiteGraph?.vueNodesMode === true

export class Panel {
  /** height: what it takes before it was ever laid out. */
  constructor(node, document, height) {
    this.node = node
    this.document = document
    this.height = this.first = height
    this.body = document.createElement("div")
    this.element = document.createElement("div")
    this.element.className = "svd-panel"
    this.element.append(this.body)
    const tall = () => this.height + 2 * MARGIN
    const options = { serialize: false, hideOnZoom: false, margin: MARGIN, getMinHeight: tall, getMaxHeight: tall }
    this.widget = node.addDOMWidget(NAME, NAME, this.element, options)
    this.widget.serialize = false
    this.passing = [] // the elements that are shown for a while
    this.sayError = this.passingLine("svd-error")
    new ResizeObserver(() => this.fit()).observe(this.body)
    const { onSerialize } = node
    node.onSerialize = (saved) => {
      onSerialize?.call(node, saved)
      this.saveUnfitted(saved)
    }
  }

  /** What is wrong: with the settings, else with the last run. */
  showError(problem) {
    this.problem = problem
    this.sayError(problem ?? this.failure)
  }

  /** What the last run failed with; nothing when a new one begins. */
  fail(failure) {
    this.failure = failure
    this.showError(this.problem)
  }

  /** A line of text, hidden while it is empty. */
  line(className = "") {
    const element = this.document.createElement("div")
    element.className = className
    element.hidden = true
    this.body.append(element)
    return (text) => {
      element.textContent = text ?? ""
      element.hidden = !text
    }
  }

  /** A line for what is legal but unwise. */
  badge() {
    return this.passingLine("svd-badge")
  }

  passingLine(className) {
    const say = this.line(className)
    this.passing.push(this.body.lastChild)
    return (text) => {
      if (text) this.remember()
      say(text)
    }
  }

  /** Remembers the node's height before something is shown for a while. */
  remember() {
    if (!this.grown) this.resting = this.node.size[1]
    this.grown = true
  }

  /** The height of what is shown for a while. */
  passingHeight() {
    return this.passing.reduce((sum, { offsetHeight }) => sum + (offsetHeight && offsetHeight + GAP), 0)
  }

  /** Gives the panel the height of what is in it, and the node with it: no less than a user has chosen.
   *
   * Vue nodes grow and shrink by themselves, and tell LiteGraph afterwards.
   */
  fit() {
    const { node } = this
    const height = this.body.offsetHeight
    if (!height || height === this.height || !node.graph) return
    if (inVue()) {
      this.height = height
      this.grown = this.passingHeight() > 0
      return
    }
    if (!this.isFitted()) this.chosen = node.size[1] > node.computeSize()[1] ? node.size[1] : 0
    this.height = height
    node.setSize([node.size[0], Math.max(this.chosen, node.computeSize()[1])])
    this.fitted = node.size[1]
    node.setDirtyCanvas(true, true)
  }

  /** Whether the node still has the height that it got here. */
  isFitted() {
    return this.node.size[1] === this.fitted
  }

  /** What a panel shows for a while is not there when its node is loaded: it is saved without the height for it. */
  saveUnfitted(saved) {
    if (inVue()) saved.size = [saved.size[0], Math.max(this.resting ?? 0, saved.size[1] - this.passingHeight())]
    else if (this.isFitted()) saved.size = [saved.size[0], this.chosen || this.fitted - this.height + this.first]
  }
}
