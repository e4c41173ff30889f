"""Picture files as people have them: whatever is around whole pixels, whatever their name says, or damaged."""

import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from fuzz import seed_pictures
from fuzz.seed_pictures import HEIGHT, WIDTH, drawn, film, png_chunk, saved, turned, with_chunk
from icc import ADOBE_RGB, DISPLAY_P3, grey_profile, rgb_profile
from PIL import Image
from tiny_files import ROOT

from svd_nodes.headless import clipfile
from svd_nodes.headless.core_nodes import Workspace, host_nodes
from svd_nodes.headless.queue.pictures import read_pictures
from svd_nodes.svd import picturefile
from svd_nodes.svd.errors import InputError
from svd_nodes.svd.image import read_picture, to_rgb, to_tensor

SEEDS = seed_pictures.pictures()
P3, ADOBE = rgb_profile(DISPLAY_P3), rgb_profile(ADOBE_RGB, 563 / 256)


def load_image_node(folder: Path):
    return next(node for node in host_nodes(Workspace(folder, inputs=(folder,))) if node.__name__ == "LoadImage")


def load_image(path: Path):
    """Load Image's picture and mask, after the check that comes before a run. InputError as the check says."""
    node = next(
        node for node in host_nodes(Workspace(path.parent, inputs=(path.parent,))) if node.__name__ == "LoadImage"
    )
    if (verdict := node.validate_inputs(path.name)) is not True:
        raise InputError(verdict)
    return node.execute(path.name).args


def pixels(path: Path) -> list[int]:
    """The one colour of a picture, by `generate` and by `run`, which read it alike."""
    image, _ = load_image(path)
    first = np.asarray(read_picture(path))[2, 2]
    assert np.abs((image[0, 2, 2].numpy() * 255).round() - first).max() == 0
    return first.tolist()


@pytest.mark.parametrize(
    ("profile", "colour", "expected"),
    [
        (P3, (60, 180, 75), (0, 183, 57)),  # by P3's and sRGB's matrices and curve
        (ADOBE, (60, 180, 75), (0, 181, 64)),
        (seed_pictures.SRGB, (60, 180, 75), (60, 180, 75)),
        (None, (60, 180, 75), (60, 180, 75)),
        (P3[:300], (60, 180, 75), (60, 180, 75)),
        (b"no profile at all", (60, 180, 75), (60, 180, 75)),
        (grey_profile(1.0), (60, 180, 75), (60, 180, 75)),  # says nothing of these colours
        (grey_profile(1.0), 100, (168, 168, 168)),  # (100 / 255) of linear light, by sRGB's curve
        (P3, 100, (100, 100, 100)),
    ],
)
def test_profiles_become_srgb(profile, colour, expected, tmp_path):
    mode = "L" if isinstance(colour, int) else "RGB"
    Image.new(mode, (8, 8), colour).save(tmp_path / "a.png", icc_profile=profile)
    assert pixels(tmp_path / "a.png") == pytest.approx(expected, abs=1)
    if profile in (seed_pictures.SRGB, None):
        assert pixels(tmp_path / "a.png") == list(expected)


def test_profiles_in_other_files_and_under_transparency(tmp_path):
    plain, clear = Image.new("RGB", (8, 8), (60, 180, 75)), Image.new("RGBA", (8, 8), (60, 180, 75, 128))
    plain.save(tmp_path / "a.jpg", icc_profile=P3, quality=100, subsampling=0)
    plain.save(tmp_path / "a.webp", icc_profile=P3, lossless=True)
    plain.save(tmp_path / "a.tif", icc_profile=P3)
    plain.quantize(4).save(tmp_path / "a.png", icc_profile=P3)
    for name in ("a.jpg", "a.webp", "a.tif", "a.png"):
        assert pixels(tmp_path / name) == pytest.approx((0, 183, 57), abs=2), name
    clear.save(tmp_path / "clear.png", icc_profile=P3)
    image, mask = load_image(tmp_path / "clear.png")
    assert (image[0, 0, 0] * 255).tolist() == pytest.approx((0, 183, 57), abs=1)
    assert mask[0, 0, 0] == pytest.approx(127 / 255)
    assert to_rgb(Image.open(tmp_path / "clear.png").convert("RGB")).getpixel((0, 0)) == (60, 180, 75), (
        "as in diffusers"
    )


PNG = saved(drawn(), "PNG")
JPG = saved(drawn(), "JPEG", quality=90)
LONG = zlib.compress(bytes(3_000_000))
AROUND_WHOLE_PIXELS = {
    "text over 1 MB": with_chunk(PNG, png_chunk(b"zTXt", b"prompt\0\0" + LONG)),
    "international text over 1 MB": with_chunk(PNG, png_chunk(b"iTXt", b"prompt\0\1\0\0\0" + LONG)),
    "profile over 1 MB": with_chunk(PNG, png_chunk(b"iCCP", b"a\0\0" + LONG)),
    "profile that is not packed": with_chunk(PNG, png_chunk(b"iCCP", b"a\0\0" + bytes(50))),
    "checksum of a text": with_chunk(PNG, png_chunk(b"tEXt", b"prompt\0{}", crc=1)),
    "checksum of an unknown chunk": with_chunk(PNG, png_chunk(b"abCd", b"xyz", crc=1)),
    "text over 1 MB behind the pixels": PNG[:-12] + png_chunk(b"zTXt", b"prompt\0\0" + LONG) + PNG[-12:],
    "many texts": with_chunk(PNG, png_chunk(b"zTXt", b"prompt\0\0" + zlib.compress(bytes(1_000_000))) * 70),
    "PNG without its end": PNG[:-12],
    "bytes behind the end": PNG + b"more" * 100,
    "JPEG without its end": JPG[:-2],
    "JPEG with half its end": JPG[:-1],
    "JPEG with a film behind it": JPG + film() + b"\xff\xda" * 200,
    "progressive JPEG without its end": saved(drawn(), "JPEG", quality=90, progressive=True)[:-2],
}


@pytest.mark.parametrize("what", AROUND_WHOLE_PIXELS)
def test_whole_pixels_in_faulty_surroundings(what, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(AROUND_WHOLE_PIXELS[what])
    image, _ = load_image(path)
    found = np.asarray(read_picture(path)).astype(int)
    assert np.array_equal((image[0].numpy() * 255).round(), found)
    exact = "JPEG" not in what
    assert np.abs(found - np.asarray(drawn())).max() <= (0 if exact else 40), "lossless, or as close as a JPEG is"
    assert read_pictures([path], {})[0].suffix == (".png" if exact else ".jpg"), "its content tells its kind"


def test_a_large_profile_and_a_faulty_checksum_still_say_what_they_say(tmp_path):
    padded = struct.pack(">I", 2_000_000) + P3[4:].ljust(2_000_000 - 4, b"\0")
    flat = saved(Image.new("RGB", (8, 8), (60, 180, 75)), "PNG")
    (tmp_path / "a.png").write_bytes(with_chunk(flat, png_chunk(b"iCCP", b"a\0\0" + zlib.compress(padded))))
    assert pixels(tmp_path / "a.png") == pytest.approx((0, 183, 57), abs=1)
    exif = png_chunk(b"eXIf", turned(6).tobytes()[6:], crc=1)
    (tmp_path / "b.png").write_bytes(with_chunk(PNG, exif))
    assert read_picture(tmp_path / "b.png").size == (HEIGHT, WIDTH)


MISSING = {
    "half a PNG": PNG[: len(PNG) // 2],
    "a PNG's last row": PNG[:-40],
    "a PNG's size may be another": PNG[:29] + b"\0\0\0\0" + PNG[33:],
    "half a JPEG": JPG[: len(JPG) // 2],
    "a JPEG's last twenty bytes": JPG[:-20],
    "two bytes before a JPEG's end mark": JPG[:-4],
}


@pytest.mark.parametrize("data", MISSING.values(), ids=MISSING)
def test_missing_pixels_are_refused(data, tmp_path):
    """An editor would fill them with grey."""
    (tmp_path / "a.png").write_bytes(data)
    for read in (read_picture, load_image):
        with pytest.raises(InputError, match=r"a\.png cannot be read as a picture"):
            read(tmp_path / "a.png")


def test_the_further_pictures_of_a_phone_are_not_read(tmp_path):
    whole = SEEDS["phone.jpg"]
    (tmp_path / "a.jpg").write_bytes(whole[: whole.rfind(b"\xff\xd8\xff") + 200])
    assert load_image(tmp_path / "a.jpg")[0].shape == (1, HEIGHT, WIDTH, 3)


@pytest.mark.parametrize("name", SEEDS)
def test_a_kind_is_told_by_the_content(name, tmp_path):
    own, other = tmp_path / name, tmp_path / "a.tiff"
    own.write_bytes(SEEDS[name])
    other.write_bytes(SEEDS[name])
    assert np.array_equal(np.asarray(read_picture(own)), np.asarray(read_picture(other)))
    assert len(load_image(other)[0]) == (3 if name.startswith(("moving", "pages")) else 1)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF"])
def test_a_picture_is_turned_exactly_once(format, orientation, tmp_path):
    path = tmp_path / "a"
    path.write_bytes(
        saved(drawn(), format, exif=turned(orientation), **({"lossless": True} if format == "WEBP" else {}))
    )
    method = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}.get(orientation)
    expected = drawn() if method is None else drawn().transpose(Image.Transpose(method))
    found = read_picture(path)
    assert found.size == expected.size
    assert np.abs(np.asarray(found).astype(int) - np.asarray(expected)).mean() < 8
    assert np.array_equal(np.asarray(to_rgb(found)), np.asarray(found)), "nor a second time"
    assert to_tensor(found).shape[2:] == load_image(path)[0].shape[1:3]


def test_damaged_exif_turns_nothing(tmp_path):
    for exif in (b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\x01\x12" * 30, b"Exif\0\0"):
        (tmp_path / "a.jpg").write_bytes(saved(drawn(), "JPEG", exif=exif))
        assert to_tensor(read_picture(tmp_path / "a.jpg")).shape == (1, 3, HEIGHT, WIDTH)
        load_image(tmp_path / "a.jpg")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "it is empty"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(90), r"it is HEIC.*pip install 'svd-nodes\[heif\]'"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(90), r"it is HEIC.*pip install 'svd-nodes\[heif\]'"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(90), "a camera's raw picture.*develop it"),
        (film(), "it is a film.*one of its frames"),
        (b"\n <!DOCTYPE html><html>", "it is a web page.*download the picture itself"),
        (b"\xff\x0a" + bytes(90), "it is JPEG XL"),
        (b"%PDF-1.7", "it is a PDF"),
        (b"<svg xmlns=", "it is a drawing"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "it is PostScript"),  # a program; it is not run
        (b"words", "it is of no kind that is known here"),
        (SEEDS["plain.dds"][:80] + bytes(4) + SEEDS["plain.dds"][84:], "save it again as PNG or JPEG"),
        (SEEDS["plain.avif"][:-20], "save it again as PNG or JPEG"),
        (SEEDS["plain.avif"][:-300], "it is AVIF, but damaged"),
    ],
)
def test_what_is_no_picture_here_is_named(data, sentence, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    for read in (read_picture, load_image, lambda path: read_pictures([path], {})):
        with pytest.raises(InputError, match=rf"^a\.jpg cannot be read as a picture \(.*{sentence}.*\.$"):
            read(path)


def test_heic_is_read_where_its_reader_is_installed(tmp_path):
    pytest.importorskip("pillow_heif")
    (tmp_path / "a.jpg").write_bytes(SEEDS["phone.heic"])
    assert read_picture(tmp_path / "a.jpg").size == (HEIGHT, WIDTH), "turned once, by its box or its EXIF"
    assert load_image(tmp_path / "a.jpg")[0].shape == (1, WIDTH, HEIGHT, 3)
    assert read_pictures([tmp_path / "a.jpg"], {})[0].suffix == ".heic"


def test_files_that_cannot_be_read_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(picturefile, "MOST_BYTES", 1000)
    (tmp_path / "large.png").write_bytes(bytes(1001))
    sentences = {
        "none.png": "There is no picture at .*none.png: check the path",
        ".": "is a folder: give a picture in it",
        "x" * 300: "cannot be read: File name too long",
        "large.png": "too large for a picture",
    }
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.png")
        sentences |= {"pipe.png": "is a pipe or a device: save", "/dev/zero": "is a pipe or a device: save"}
    for name, sentence in sentences.items():
        with pytest.raises(InputError, match=sentence):
            read_picture(tmp_path / name)
        with pytest.raises(InputError, match=sentence):
            read_pictures([tmp_path / name], {})


def test_bounds_on_what_a_file_may_hold(tmp_path, monkeypatch):
    def refused(name: str, sentence: str, read=read_picture) -> None:
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match=sentence):
            read(tmp_path / name)

    area = WIDTH * HEIGHT
    monkeypatch.setattr(picturefile, "MOST_PIXELS", 3 * area - 1)
    for name in ("moving.gif", "moving.webp", "moving.png", "pages.tif", "moving.avif"):
        data = SEEDS[name]
        refused(name, "holds more pictures than fit into memory", load_image)
        assert read_picture(tmp_path / name).size == (WIDTH, HEIGHT), "its first picture alone is small"
    monkeypatch.setattr(picturefile, "MOST_PIXELS", 3 * area)
    monkeypatch.setattr(picturefile, "MOST_FRAMES", 2)
    refused(name, "holds more pictures than fit into memory", load_image)
    monkeypatch.setattr(picturefile, "MOST_WORK", 2 * area)
    refused(name, "holds more pictures", lambda path: list(clipfile.frames(path)))

    monkeypatch.setattr(picturefile, "MOST_PIXELS", area - 1)
    data = PNG
    refused("a.png", "too many pixels")
    monkeypatch.setattr(picturefile, "MOST_SLOW_PIXELS", 4)
    data = SEEDS["plain.ppm"]
    refused("a.ppm", "PPM of 3 x 2 takes too long")
    (tmp_path / "a.jpg").write_bytes(JPG)
    assert read_picture(tmp_path / "a.jpg").size == (WIDTH // 2, HEIGHT // 2), "of a large JPEG, half the size is ample"

    progressive = SEEDS["progressive.jpg"]
    scan = progressive[progressive.rfind(b"\xff\xda") : -2]
    data = progressive[:-2] + scan * picturefile.MOST_SCANS + progressive[-2:]
    refused("a.jpg", "too many scans")


def test_a_preview_of_a_raw_picture_is_not_taken_for_it(tmp_path):
    """As NEF and DNG are laid out: a small picture first, the raw one in a directory of its own."""
    path = tmp_path / "a.dng"
    path.write_bytes(saved(drawn(), "TIFF", tiffinfo={254: 1, 330: 8}))
    with pytest.raises(InputError, match="a camera's raw picture"):
        read_picture(path)


@pytest.mark.parametrize(
    "error", [IndexError, TypeError, struct.error, RuntimeError, NotImplementedError, RecursionError]
)
def test_whatever_a_reader_raises_it_is_one_sentence(error, tmp_path, monkeypatch):
    def fail(*_):
        raise error("deep\n inside")

    (tmp_path / "a.png").write_bytes(PNG)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fail)
    for read in (read_picture, load_image):
        with pytest.raises(InputError, match=r"^a\.png cannot be read as a picture \(deep inside\): save it again"):
            read(tmp_path / "a.png")


def test_the_check_before_a_run_and_the_run_agree(tmp_path):
    """And no warning of Pillow's reaches the terminal. Every seventh byte of a few kinds is wrong."""
    for name in ("rgb.png", "plain.jpg", "moving.gif", "plain.avif", "plain.dds", "icon.ico"):
        data = SEEDS[name]
        for at in range(0, min(len(data), 600), 7):
            path = tmp_path / name
            path.write_bytes(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :])
            node = load_image_node(tmp_path)
            if node.validate_inputs(name) is True:
                node.execute(name)
                read_picture(path)


# ---- mutated files


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits on memory are measured in Linux")
@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_mutated_files_are_read_or_refused(seed):
    words = [sys.executable, "-m", "svd_nodes.tests.fuzz.pictures", "--count", "1000", "--seed", str(seed)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "read" in done.stdout
    assert "refused" in done.stdout
