"""The templates' thumbnails, square as the editor shows them: frames of real clips, and two lines of text."""

from collections.abc import Sequence

from PIL import Image, ImageDraw

from ..workflows.templates import BUCKETS
from .layout import font
from .studio import Studio, quickstart

SIDE, BAND = 480, 84
TEXTS = {
    "quickstart": ("A first video", "no download: svd-nano is in the pack"),
    "image_to_video": ("Image to video", "25 steps, svd_xt.safetensors"),
    "image_to_video_10_steps": ("10 steps", "faster, svd_xt.safetensors"),
    "text_to_video": ("Text to video", "core's text-to-image, then SVD"),
    "compare_motion": ("Compare motion", "motion buckets 16, 30, 60, 90"),
    "from_core": ("From core's SVD nodes", "its graph and ours, side by side"),
}


def thumbnail(name: str, studio: Studio) -> Image.Image:
    """The frames of one template with its two lines."""
    picture = _tiled(_frames(name, studio))
    return _captioned(picture, *TEXTS[name])


def _frames(name: str, studio: Studio) -> Sequence[Image.Image]:
    """What is shown: one frame, or four. All are the miniature's; the pack has no other weights."""
    if name == "compare_motion":
        return [studio.film(**quickstart() | {"motion_bucket_id": bucket})[-1] for bucket in BUCKETS]
    if name == "quickstart":
        film = studio.film(**quickstart())
        return [film[t] for t in (0, 4, 9, 13)]
    if name == "image_to_video_10_steps":
        return [studio.film(steps=10, schedule="align-your-steps")[6]]
    return [studio.film(seed={"image_to_video": 0, "text_to_video": 2, "from_core": 3}[name])[6]]


def _tiled(frames: Sequence[Image.Image]) -> Image.Image:
    """One frame over the whole square, or four in two rows."""
    across = 1 if len(frames) == 1 else 2
    sheet, side = Image.new("RGB", (SIDE, SIDE), "black"), SIDE // across
    for i, frame in enumerate(frames):
        edge = side if across == 1 else side - 2
        sheet.paste(frame.resize((edge, edge), Image.Resampling.LANCZOS), (i % across * side, i // across * side))
    return sheet


def _captioned(picture: Image.Image, title: str, line: str) -> Image.Image:
    band = Image.new("L", picture.size, 0)
    band.paste(175, (0, SIDE - BAND, SIDE, SIDE))
    picture.paste(Image.new("RGB", picture.size, "#101114"), (0, 0), band)
    draw = ImageDraw.Draw(picture)
    draw.text((18, SIDE - BAND + 28), title, "white", font(30), anchor="lm", stroke_width=1)
    draw.text((18, SIDE - BAND + 62), line, "#dddddd", font(21), anchor="lm")
    return picture
