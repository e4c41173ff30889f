"""The kernels themselves, in Triton. Imported by the files above when a card is there to run them (see choice.py)."""
