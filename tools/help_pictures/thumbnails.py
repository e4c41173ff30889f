"""The templates' thumbnails, 640 x 360: frames of real clips, and two lines that say what the template does."""

from collections.abc import Sequence

from PIL import Image, ImageDraw

from .layout import font
from .studio import Studio

SIZE = (640, 360)
TEXTS = {
    "quickstart": ("No download: a first video", "svd-nano, the miniature in the pack"),
    "image_to_video": ("Image to video", "needs svd_xt.safetensors, 9.6 GB"),
    "image_to_video_10_steps": ("10 steps: faster", "needs svd_xt.safetensors, 9.6 GB"),
    "text_to_video": ("Text to video", "core's text-to-image, then SVD"),
    "compare_motion": ("Compare motion", "one picture, four motion buckets"),
    "from_core": ("Coming from core's SVD nodes", "the same graph in both, side by side"),
}


def thumbnail(name: str, studio: Studio) -> Image.Image:
    """The frames of one template with its two lines."""
    picture = _tiled(_frames(name, studio))
    return _captioned(picture, *TEXTS[name])


def _frames(name: str, studio: Studio) -> Sequence[Image.Image]:
    """What is shown: one frame, two beside each other, or four."""
    wide = {"width": 448, "height": 256, "motion_bucket_id": 64}
    if name == "compare_motion":
        return [studio.film(motion_bucket_id=bucket)[-1] for bucket in (16, 64, 128, 220)]
    if name == "quickstart":
        film = studio.film(motion_bucket_id=110)
        return [film[0], film[10]]
    if name == "from_core":
        return [studio.film(motion_bucket_id=64)[i] for i in (0, 13)]
    film = studio.film(**wide, steps=10, schedule="align-your-steps") if "10" in name else studio.film(**wide)
    return [film[5]] if name == "text_to_video" else [film[9]]


def _tiled(frames: Sequence[Image.Image]) -> Image.Image:
    """Beside each other over the whole width, each cut to its share."""
    sheet, count = Image.new("RGB", SIZE, "black"), len(frames)
    width = SIZE[0] // count
    for i, frame in enumerate(frames):
        shape = (width - 2 if count > 1 else width, SIZE[1])
        scale = max(shape[0] / frame.width, shape[1] / frame.height)
        large = frame.resize((round(frame.width * scale), round(frame.height * scale)), Image.Resampling.LANCZOS)
        left, top = (large.width - shape[0]) // 2, (large.height - shape[1]) // 2
        sheet.paste(large.crop((left, top, left + shape[0], top + shape[1])), (i * width, 0))
    return sheet


def _captioned(picture: Image.Image, title: str, line: str) -> Image.Image:
    band = Image.new("L", SIZE, 0)
    band.paste(170, (0, 264, *SIZE))
    picture.paste(Image.new("RGB", SIZE, "#101114"), (0, 0), band)
    draw = ImageDraw.Draw(picture)
    draw.text((20, 290), title, "white", font(30), anchor="lm", stroke_width=1)
    draw.text((20, 331), line, "#dddddd", font(22), anchor="lm")
    return picture
