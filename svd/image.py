"""Pictures: reading, fitting to the clip's size, and from picture to tensor and back.

A tensor picture is (b, c, h, w) fp32 in 0..1; the networks see three channels.
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from . import picturefile
from .errors import InputError
from .pixels import eight_bits, upright

FITS = ("crop", "pad", "stretch")


def read_picture(path: str | Path) -> Image.Image:
    """Reads a picture file as RGB, known by its content: turned as its EXIF says, in sRGB, transparency on white.

    Of an animation, or of several pictures in a file, the first.
    InputError when the file is missing, is no picture, or is damaged.
    """
    return to_rgb(picturefile.read(Path(path), 1).frames[0])


def to_rgb(picture: Image.Image) -> Image.Image:
    """Any Pillow picture as 8-bit RGB: EXIF rotation applied, transparency composited on white, 16 bits scaled to 8.

    Its numbers are taken as they are, whatever its profile, as diffusers does; `read_picture` heeds profiles.
    """
    picture = eight_bits(upright(picture))
    if picture.mode == "RGB":
        return picture
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("RGB")


def to_tensor(picture: Image.Image) -> Tensor:
    """A Pillow picture as (1, 3, h, w) fp32 in 0..1."""
    pixels = np.array(to_rgb(picture), dtype=np.float32)
    pixels /= 255  # in place: a large picture takes a gibibyte
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].contiguous()


def to_pil(frames: Tensor) -> list[Image.Image]:
    """(n, 3, h, w) in 0..1 to Pillow pictures, rounded to 8 bits."""
    pixels = (frames.float().clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    return [Image.fromarray(frame) for frame in pixels]


def rgb(image: Tensor) -> Tensor:
    """A tensor picture with 1, 3 or 4 channels as three, alpha composited on white. (b c h w) -> (b 3 h w) fp32

    InputError on another shape, on no pixels, and on NaN or infinity.
    """
    if image.ndim != 4 or image.shape[1] not in (1, 3, 4):
        raise InputError(f"A picture tensor is (b, c, h, w) with 1, 3 or 4 channels, but this one is {_shape(image)}.")
    if image.numel() == 0:
        raise InputError(f"The picture tensor is {_shape(image)}: it has no pixels.")
    if not image.is_floating_point():
        raise InputError(f"The picture tensor holds {str(image.dtype)[6:]}: give floats in 0..1 (divide by 255).")
    image = image.float()
    if not image.isfinite().all():
        raise InputError("The picture contains NaN or infinite values: look at the step that made it.")
    if image.max() > 2:  # a filter may well overshoot 1 a little
        raise InputError(f"The picture tensor goes up to {image.max():g}: give floats in 0..1 (divide by 255).")
    if image.shape[1] == 4:
        color, alpha = image[:, :3], image[:, 3:]
        return color * alpha + (1 - alpha)
    return image.expand(-1, 3, -1, -1)


def fit_image(image: Tensor, width: int, height: int, fit: str = "crop") -> Tensor:
    """Brings pictures to width x height once, for CLIP and the VAE alike. (b c h w) -> (b 3 height width) in 0..1

    crop: covers the frame and cuts what hangs over, evenly. pad: fits inside, black around. stretch: ignores the shape.
    Antialiased bicubic. A picture that has the size already comes back as it is.
    """
    if fit not in FITS:
        raise InputError(f"fit '{fit}' is unknown: choose one of {', '.join(FITS)}.")
    if width < 1 or height < 1:
        raise InputError(f"The size {width} x {height} has no pixels: width and height are at least 8.")
    image = rgb(image)
    h, w = image.shape[-2:]
    if fit == "stretch":
        return resize(image, width, height)
    scale = max(width / w, height / h) if fit == "crop" else min(width / w, height / h)
    image = _without_far_ends(image, width / scale, height / scale)
    h, w = image.shape[-2:]
    image = resize(image, max(round(w * scale), 1), max(round(h * scale), 1))
    left, top = (width - image.shape[-1]) // 2, (height - image.shape[-2]) // 2
    right, bottom = width - image.shape[-1] - left, height - image.shape[-2] - top
    return F.pad(image, (left, right, top, bottom))  # a negative pad cuts


def _without_far_ends(image: Tensor, width: float, height: float) -> Tensor:
    """The middle of a picture: what a frame of this size shows of it, and the same again on each side.

    So that no ribbon of a picture is enlarged to thousands of times its length, for nothing.
    """
    h, w = image.shape[-2:]
    cut_x, cut_y = (max(0, int((side - 3 * shown - 16) / 2)) for side, shown in ((w, width), (h, height)))
    return image[..., cut_y : h - cut_y, cut_x : w - cut_x]


def resize(image: Tensor, width: int, height: int) -> Tensor:
    """(b c h w) in 0..1 at another size, antialiased bicubic. One that has the size already comes back as it is."""
    if image.shape[-2:] == (height, width):
        return image
    return F.interpolate(image, (height, width), mode="bicubic", antialias=True).clamp(0, 1)


def squash(image: Tensor, size: int) -> Tensor:
    """Resizes to size x size, whatever the shape, the way SVD's CLIP input was made in training.

    That is kornia's antialiased resize: per axis a Gaussian of sigma (f - 1) / 2 for a shrink by f, then bicubic with
    aligned corners. (b c h w) -> (b c size size)
    """
    h, w = image.shape[-2:]
    vertical, horizontal = _gaussian(h / size), _gaussian(w / size)
    channels = image.shape[1]
    pad_y, pad_x = len(vertical) // 2, len(horizontal) // 2
    if pad_y:
        kernel = vertical.to(image)[None, None, :, None].expand(channels, 1, -1, 1)
        image = F.conv2d(F.pad(image, (0, 0, pad_y, pad_y), mode="reflect"), kernel, groups=channels)
    if pad_x:
        kernel = horizontal.to(image)[None, None, None, :].expand(channels, 1, 1, -1)
        image = F.conv2d(F.pad(image, (pad_x, pad_x, 0, 0), mode="reflect"), kernel, groups=channels)
    return F.interpolate(image, (size, size), mode="bicubic", align_corners=True)


def _gaussian(factor: float) -> Tensor:
    """kornia's blur kernel for a shrink by `factor`; a single 1, no blur, where there is no shrink."""
    if factor <= 1:
        return torch.ones(1, dtype=torch.float32, device="cpu")
    sigma = max((factor - 1) / 2, 0.001)
    width = int(max(4 * sigma, 3)) | 1  # odd
    x = torch.arange(width, dtype=torch.float32, device="cpu") - width // 2
    weights = torch.exp(-(x**2) / (2 * sigma**2))
    return weights / weights.sum()


def _shape(image: Tensor) -> str:
    return "(" + ", ".join(map(str, image.shape)) + ")"
