"""The pixels of a Pillow picture of any mode: upright, as 8-bit RGB or RGBA, in sRGB."""

from io import BytesIO

import numpy as np
from PIL import ExifTags, Image, ImageChops, ImageCms

from .errors import InputError

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # by the EXIF orientation
MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}  # Pillow's, by the colours that an ICC profile is of
ROUNDING = 2  # of 255: a profile that moves no colour further is sRGB's


def upright(picture: Image.Image) -> Image.Image:
    """Turned as its EXIF says. EXIF that cannot be read turns nothing: the pixels are whole without it."""
    picture.load()
    try:
        turn = TURNS.get(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # Pillow raises many kinds on damaged EXIF
        turn = None
    return picture if turn is None else picture.transpose(turn)


def eight_bits(picture: Image.Image, profile: bytes | None = None) -> Image.Image:
    """RGB, or RGBA where there is transparency, under which the colours stay as they are.

    profile: the ICC profile of the colours, from which they are brought to sRGB. One that is damaged, or that is of
        other colours than the picture's, is passed over.
    Returns: a new picture without EXIF and the like, so that nothing can be applied a second time.
    """
    if 0 in picture.size:
        raise InputError(f"The picture is {picture.width} x {picture.height}: it has no pixels.")
    if picture.mode.startswith("I") or picture.mode == "F":
        picture = _deep_grey(picture)
    mode = picture.mode
    has_alpha = mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info
    if has_alpha:
        picture = picture.convert("RGBA")
    result = (_in_srgb(picture, mode, profile) if profile else None) or picture.convert("RGB")
    if has_alpha:
        result.putalpha(picture.getchannel("A"))
    result.info = {}
    return result


def _in_srgb(picture: Image.Image, mode: str, profile: bytes) -> Image.Image | None:
    """RGB; None when the profile says nothing of these colours, or that they are sRGB. mode: the picture's in its file.

    Colours that are sRGB, by whatever name, keep their bits.
    """
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        colours = MODES.get(source.profile.xcolor_space.strip(), "")
        own = "L" if mode in ("1", "L", "LA", "La") else mode if mode in ("CMYK", "LAB") else "RGB"
        if colours != own and (colours, own) != ("RGB", "L"):
            return None
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), colours, "RGB")
        levels = np.arange(0, 256, 15, dtype=np.uint8)
        cube = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
        sample = Image.fromarray(cube).convert(colours)
        moved = ImageChops.difference(transform.apply(sample), sample.convert("RGB"))
        return transform.apply(picture.convert(colours)) if np.asarray(moved).max() > ROUNDING else None
    except (ImageCms.PyCMSError, OSError, ValueError):  # a damaged profile
        return None


def _deep_grey(picture: Image.Image) -> Image.Image:
    """Pillow's modes I;16, I and F hold one deep channel, which its own conversion would clip at 255.

    I;16 is white at 65535. I and F do not say where: at 1, 255 or 65535, whichever is the first to hold all values.
    """
    grey = np.array(picture, dtype=np.float64)
    low, high = grey.min(), grey.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise InputError("The picture contains NaN or infinite values: export it again.")
    grey /= 65535 if picture.mode.startswith("I;16") or high > 255 else 255 if high > 1 else 1
    grey *= 255  # in place, here and below: a large picture takes most of a gibibyte
    grey.round(out=grey).clip(0, 255, out=grey)
    return Image.fromarray(grey.astype(np.uint8))
