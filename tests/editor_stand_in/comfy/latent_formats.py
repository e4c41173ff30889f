class LatentFormat: ...


class SD15(LatentFormat):
    latent_rgb_factors = ((0.0, 0.0, 0.0),) * 4
    latent_rgb_factors_bias = None
