/** Colours for our types of wire, near those of core's types that carry the like. */

export const COLOURS = {
  SVD_MODEL: "#b39ddb",
  SVD_CLIP: "#a8dadc",
  SVD_VAE: "#ff6e6e",
  SVD_EMBEDDING: "#6ee7b7",
  SVD_IMAGE_LATENT: "#ff9cf9",
  SVD_CONDITIONING: "#ffa931",
}

/** Where the Vue renderer looks. */
export const RULE = `:root { ${Object.entries(COLOURS)
  .map(([type, colour]) => `--color-datatype-${type}: ${colour};`)
  .join(" ")} }`

/** Where the canvas looks. A palette blanks the types it does not name, so this is done again after each. */
export function colour(canvas) {
  for (const table of [canvas.default_connection_color_byType, canvas.constructor.link_type_colors]) {
    for (const type of Object.keys(COLOURS)) table[type] ||= COLOURS[type]
  }
}
