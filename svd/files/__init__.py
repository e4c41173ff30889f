"""Files: writing them whole or not at all."""
