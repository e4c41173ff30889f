"""The colours of svd-nano's latents, which are not Stable Diffusion's: what its preview has in place of a decoder.

Each row takes one of the four channels, at a latent pixel and its eight neighbours, row by row. Fitted by least
squares to 160 of the scenes that the miniature was trained on. On the bundled picture, which is none of them, the error
is 0.07 of a range of 2; of a pixel alone, without its neighbours, it would be 0.22.
"""

KERNEL = (
    (  # red
        (0.00, -0.01, -0.01, 0.01, 0.00, 0.00, 0.00, 0.00, 0.00),
        (0.02, 0.03, 0.02, 0.03, 0.08, 0.04, 0.02, 0.05, 0.03),
        (-0.01, -0.02, -0.01, -0.02, -0.02, -0.02, -0.01, -0.03, -0.02),
        (0.01, 0.03, 0.01, 0.05, 0.26, 0.06, 0.04, 0.07, 0.03),
    ),
    (  # green
        (0.00, 0.00, 0.01, -0.02, -0.03, 0.00, 0.00, -0.01, 0.00),
        (0.01, 0.01, 0.01, 0.01, 0.01, 0.00, 0.01, 0.02, 0.01),
        (0.02, 0.05, 0.03, 0.04, 0.10, 0.04, 0.02, 0.03, 0.02),
        (0.04, 0.06, 0.03, 0.04, 0.24, 0.06, 0.03, 0.05, 0.03),
    ),
    (  # blue
        (0.00, 0.02, 0.01, 0.01, 0.04, 0.02, 0.00, 0.01, 0.00),
        (-0.01, -0.02, -0.01, -0.04, -0.06, -0.03, -0.01, -0.02, -0.01),
        (-0.01, -0.01, -0.01, -0.02, -0.02, -0.03, -0.01, -0.02, -0.01),
        (0.03, 0.06, 0.04, 0.04, 0.26, 0.08, 0.04, 0.07, 0.04),
    ),
)
