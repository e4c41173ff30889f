/** Plays a clip from one picture that holds all its frames below each other.
 *
 * A box of one frame's shape shows a canvas that an animation of the browser's own moves by one frame at a time: no
 * timer, nothing to stop when the node goes, and one canvas a node however many pictures arrive.
 */
export class Clip {
  constructor(document) {
    this.canvas = document.createElement("canvas")
    this.element = document.createElement("div")
    this.element.className = "svd-clip"
    this.element.hidden = true
    this.element.append(this.canvas)
    this.shown = 0
    this.arrived = 0
  }

  /** strip: the server's {jpeg, frames, width, height}; the picture that arrived last wins. */
  async show(strip, fps) {
    const order = ++this.arrived
    const bytes = Uint8Array.from(atob(strip.jpeg), (letter) => letter.charCodeAt(0))
    const picture = await createImageBitmap(new Blob([bytes], { type: "image/jpeg" }))
    if (order > this.shown) {
      this.shown = order
      this.draw(picture, strip, fps)
    }
    picture.close()
  }

  draw(picture, { frames, width, height }, fps) {
    const { canvas, element } = this
    if (canvas.width !== picture.width || canvas.height !== picture.height) {
      canvas.width = picture.width
      canvas.height = picture.height
    }
    canvas.getContext("2d").drawImage(picture, 0, 0)
    canvas.style.height = `${frames * 100}%`
    element.style.aspectRatio = `${width} / ${height}`
    element.hidden = false
    this.play(frames, fps)
  }

  play(frames, fps) {
    const duration = (frames / fps) * 1000
    if (this.duration === duration && this.frames === frames) return
    Object.assign(this, { duration, frames })
    this.animation?.cancel()
    const way = [{ transform: "translateY(0)" }, { transform: "translateY(-100%)" }]
    this.animation = this.canvas.animate(way, { duration, iterations: Infinity, easing: `steps(${frames})` })
  }
}
