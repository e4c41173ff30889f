"""How the miniature model was trained: procedural clips, the autoencoder's two stages, the UNet's stage, the file."""
