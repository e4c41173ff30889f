"""Reading clips: the frames of a film or of an animated picture, one at a time, told apart by their content."""

from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from ..svd import picturefile
from ..svd.errors import InputError

CONTAINERS = "mov,mp4,matroska,webm,avi,mpegts,mpeg,flv,ogg,asf"  # of films; none that leads to other files or servers
MOST_PIXELS = 20_000_000_000  # of all frames: minutes of decoding


def frames(clip: Path) -> Iterator[Image.Image]:
    """Every frame, RGB, turned as the film says. InputError when it is no clip, damaged, or too long."""
    yield from picturefile.walk(clip) if picturefile.describe(clip) else _film(clip)


def _film(clip: Path) -> Iterator[Image.Image]:
    import av

    try:
        with av.open(str(clip), options={"format_whitelist": CONTAINERS}) as film:
            stream, pixels = film.streams.video[0], 0
            for frame in film.decode(stream):
                pixels += frame.width * frame.height
                if frame.width * frame.height > picturefile.MOST_PIXELS or pixels > MOST_PIXELS:
                    raise InputError(f"{clip} is too large or too long for a contact sheet: cut it first.")
                picture = frame.to_image()
                yield picture.rotate(frame.rotation, expand=True) if frame.rotation % 90 == 0 else picture
    except InputError:
        raise
    except MemoryError as error:
        raise InputError(f"There is not enough memory to read {clip}: make it smaller first.") from error
    except Exception as error:  # FFmpeg's errors are of many kinds, and damaged films bring up others
        raise InputError(f"{clip} cannot be read as a clip, or not to its end: give a whole .mp4 or .webp.") from error
