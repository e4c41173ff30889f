/** What the panels say, in the language of the page.
 *
 * English is here; another language is one file in `words/`, fetched when the page is in it. Numbers have a point in
 * every language, as in the widgets beside them. What the server says, and what is in its words, stays as it is.
 */

export const LANGUAGES = ["zh", "ja", "es"]

export const ENGLISH = {
  presets: "size presets …",
  presets_usual: "usual",
  presets_checkpoint: "of this checkpoint",
  presets_picture: "for this picture, {width} × {height}",
  told_fps: "the model is told fps {fps}",
  refused_size: "The size {width} x {height} does not divide by 8: use {wide} x {high}.",
  guidance_none: "no guidance: steps take half the time",
  guidance_same: "guidance {first} in every frame",
  guidance_line: "guidance {first} → {last}",
  guidance_peak: "guidance {first} → {peak} → {last}",
  memory: "≈ {needed} GiB",
  memory_of: "≈ {needed} of {card} GiB",
  streamed: "weights are streamed",
  seconds: "≈ {time} s",
  minutes: "≈ {time} min",
  hours: "≈ {time} h",
  time_unknown: "time: after a run",
  short: "More memory than there is: {remedies}.",
  or: ", or ",
  short_low: "set memory to low",
  short_frames: "set frames lower",
  short_size: "choose a smaller size",
  short_chunk: "set frames_per_chunk to {frames}",
  off_grid: "Multiples of 64 work best: {width} × {height}.",
  off_size: "This checkpoint is at its best at {sizes}.",
  or_size: " or ",
  off_frames: "This checkpoint was trained on {frames} frames.",
  off_fps: "{model} was trained with fps {fps} only.",
  off_bucket: "{model} was trained with motion bucket {bucket} only.",
  off_both: "{model} was trained with fps {fps} and motion bucket {bucket} only.",
  off_motion: "This checkpoint is at its best with motion buckets around {bucket}.",
  off_guidance: "This checkpoint is at its best with guidance up to {guidance}.",
  off_steps: "This checkpoint is at its best with about {steps} steps.",
}

export class Words {
  /** read: from a file's name in `words/` to a promise of its table. */
  constructor(read) {
    this.read = read
    this.table = ENGLISH
  }

  /** Takes up a language; English where there is none such, or it cannot be had. */
  async speak(language) {
    this.language = language
    const table = LANGUAGES.includes(language) ? await this.read(`${language}.json`).catch(() => ENGLISH) : ENGLISH
    if (this.language === language) this.table = table // else another was chosen meanwhile
  }

  /** A text by its name, its gaps filled. */
  say = (name, values = {}) => this.table[name].replace(/\{(\w+)\}/g, (_, gap) => values[gap])
}
