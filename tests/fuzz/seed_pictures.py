"""Small pictures and films of every format and flavour, made here: what the fuzzer mutates, and tests read."""

import struct
import zlib
from fractions import Fraction
from importlib import import_module
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageCms, PngImagePlugin

WIDTH, HEIGHT = 24, 18
EXIF_ORIENTATION = 0x0112
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def drawn(mode: str = "RGB", shift: int = 0) -> Image.Image:
    """Two ramps with some noise on it, with transparency where the mode has it."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    noise = np.random.default_rng(shift).integers(0, 30, (HEIGHT, WIDTH))
    planes = [x * 9 + shift, y * 12, 120 + noise, 255 - x * 5]
    return Image.fromarray(np.stack(planes, axis=-1).astype(np.uint8), "RGBA").convert(mode)


def saved(picture: Image.Image, format: str, **settings: Any) -> bytes:
    file = BytesIO()
    if "append_images" in settings:  # Pillow leaves its encoder's settings in them
        settings["append_images"] = [further.copy() for further in settings["append_images"]]
    picture.copy().save(file, format, **settings)
    return file.getvalue()


def turned(orientation: int = 6) -> Image.Exif:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    return exif


def png_chunk(kind: bytes, body: bytes, crc: int | None = None) -> bytes:
    return (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body) if crc is None else crc)
    )


def with_chunk(png: bytes, chunk: bytes) -> bytes:
    """A PNG with one more chunk behind its header."""
    return png[:33] + chunk + png[33:]


def film(codec: str = "h264", container: str = "mp4", frames: int = 4) -> bytes:
    import av

    file = BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=Fraction(7))
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
        for shift in range(frames):
            frame = av.VideoFrame.from_image(drawn(shift=10 * shift).resize((32, 24)))
            output.mux(stream.encode(frame.reformat(format="yuv420p")))
        output.mux(stream.encode(None))
    return file.getvalue()


def pictures() -> dict[str, bytes]:
    """File names and contents; HEIC where pillow-heif is installed."""
    rgb, rgba = drawn(), drawn("RGBA")
    moving: dict[str, Any] = {"save_all": True, "append_images": [drawn(shift=20), drawn(shift=40)], "duration": 100}
    texts = PngImagePlugin.PngInfo()
    texts.add_text("prompt", '{"1": {}}')
    texts.add_text("workflow", "{}" * 40, zip=True)
    texts.add_itxt("XML:com.adobe.xmp", '<x tiff:Orientation="1"/>')
    deep = Image.fromarray(np.asarray(drawn("L")).astype(np.uint16) * 257)
    found = {
        "rgb.png": saved(rgb, "PNG", icc_profile=SRGB, exif=turned(), pnginfo=texts),
        "rgba.png": saved(rgba, "PNG"),
        "palette.png": saved(drawn("P"), "PNG", transparency=b"\0\x80\xff"),
        "deep.png": saved(deep, "PNG"),
        "moving.png": saved(rgb, "PNG", **moving),
        "plain.jpg": saved(rgb, "JPEG", icc_profile=SRGB, exif=turned()),
        "progressive.jpg": saved(rgb, "JPEG", progressive=True, quality=90),
        "grey.jpg": saved(drawn("L"), "JPEG"),
        "print.jpg": saved(drawn("CMYK"), "JPEG"),
        "phone.jpg": saved(rgb, "MPO", **moving),
        "lossy.webp": saved(rgb, "WEBP", exif=turned(), icc_profile=SRGB),
        "moving.webp": saved(rgba, "WEBP", lossless=True, **moving),
        "moving.gif": saved(rgb, "GIF", loop=0, **moving),
        "raw.tif": saved(rgb, "TIFF", exif=turned()),
        "packed.tif": saved(rgb, "TIFF", compression="tiff_lzw", icc_profile=SRGB),
        "pages.tif": saved(rgb, "TIFF", compression="jpeg", **moving),
        "float.tif": saved(drawn("F"), "TIFF"),
        "plain.bmp": saved(rgb, "BMP"),
        "palette.bmp": saved(drawn("P"), "BMP"),
        "packed.tga": saved(rgba, "TGA", compression="tga_rle"),
        "raw.ppm": saved(rgb, "PPM"),
        "plain.ppm": b"P3 3 2 200\n# a text\n" + b" 10 200 30" * 6,
        "float.pfm": saved(drawn("F"), "PPM"),
        "icon.ico": saved(rgba, "ICO", sizes=[(16, 16), (24, 18)]),
        "bitmap.ico": saved(rgba, "ICO", bitmap_format="bmp", sizes=[(16, 16)]),
        "icon.icns": saved(rgba.resize((16, 16)), "ICNS"),
        "plain.jp2": saved(rgb, "JPEG2000"),
        "plain.dds": saved(rgba, "DDS"),
        "packed.dds": saved(rgba, "DDS", pixel_format="DXT5"),
        "plain.qoi": saved(rgba, "QOI"),
        "plain.pcx": saved(rgb, "PCX"),
        "plain.sgi": saved(rgb, "SGI"),
        "plain.psd": _psd(rgb),
    }
    if "AVIF" in Image.SAVE:
        found["plain.avif"] = saved(rgba, "AVIF", exif=turned(), icc_profile=SRGB)
        found["moving.avif"] = saved(rgb, "AVIF", **moving)
    try:
        import_module("pillow_heif").register_heif_opener()
        upright = drawn()
        upright.info["exif"] = turned().tobytes()  # the encoder writes it as the box that turns the pixels
        found["phone.heic"] = saved(upright, "HEIF", icc_profile=SRGB)
    except ImportError:
        pass
    return found


def films() -> dict[str, bytes]:
    return {"plain.mp4": film(), "plain.mkv": film("mpeg4", "matroska"), "plain.avi": film("mpeg4", "avi")}


def _psd(picture: Image.Image) -> bytes:
    """Pillow writes none: the header, three empty sections, and the planes as they are."""
    header = struct.pack(">4sH6xHIIHH", b"8BPS", 1, 3, picture.height, picture.width, 8, 3)
    return header + bytes(12) + b"\0\0" + b"".join(plane.tobytes() for plane in picture.split())
