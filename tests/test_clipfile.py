"""Films and animated pictures as contact sheets read them: by their content, turned as they are shown, and bounded."""

import struct

import numpy as np
import pytest
from fuzz import seed_pictures
from fuzz.seed_pictures import film
from PIL import Image

from svd_nodes.headless import clipfile
from svd_nodes.headless.sheet import write_sheet
from svd_nodes.svd.errors import InputError


def rotated(quarters: int) -> bytes:
    """A film as a phone writes it that was held upright: the matrix of its track turns it."""
    identity = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    minus = 0xFFFF0000
    matrix = {1: (0, 0x10000, minus, 0), 2: (minus, 0, 0, minus), 3: (0, minus, 0x10000, 0)}[quarters]
    a, b, c, d = matrix
    data = film()
    at = data.index(identity, data.index(b"tkhd"))
    return data[:at] + struct.pack(">9I", a, b, 0, c, d, 0, 0, 0, 0x40000000) + data[at + 36 :]


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_films_are_turned_as_they_are_shown(quarters, tmp_path):
    (tmp_path / "plain.mp4").write_bytes(film())
    (tmp_path / "turned.mp4").write_bytes(rotated(quarters))
    plain, shown = (list(clipfile.frames(tmp_path / name)) for name in ("plain.mp4", "turned.mp4"))
    assert len(plain) == len(shown) == 4
    for one, other in zip(plain, shown, strict=True):
        assert np.array_equal(np.rot90(np.asarray(one), -quarters), np.asarray(other)), "clockwise"
    write_sheet([tmp_path / "turned.mp4"], tmp_path / "sheet.png", 2, False)
    assert Image.open(tmp_path / "sheet.png").size == ((24 * 2 + 4, 32) if quarters % 2 else (32 * 2 + 4, 24))


@pytest.mark.parametrize("name", ["moving.gif", "moving.webp", "moving.png", "moving.avif", "plain.mkv"])
def test_clips_are_told_by_their_content(name, tmp_path):
    (tmp_path / "a.mp4").write_bytes((seed_pictures.pictures() | seed_pictures.films())[name])
    assert len(list(clipfile.frames(tmp_path / "a.mp4"))) == (4 if name == "plain.mkv" else 3)


def test_a_playlist_leads_nowhere(tmp_path):
    """A text that names other files or servers, under a film's name."""
    (tmp_path / "b.mp4").write_bytes(film())
    (tmp_path / "a.mp4").write_text("ffconcat version 1.0\nfile b.mp4\n")
    with pytest.raises(InputError, match="cannot be read as a clip"):
        list(clipfile.frames(tmp_path / "a.mp4"))


def test_a_sheet_has_room_for_its_frames(tmp_path, monkeypatch):
    monkeypatch.setattr("svd_nodes.headless.sheet.MOST_PIXELS", 32 * 24 * 2)
    (tmp_path / "a.mp4").write_bytes(film())
    with pytest.raises(InputError, match="use fewer --columns"):
        write_sheet([tmp_path / "a.mp4"], None, 3, False)
    write_sheet([tmp_path / "a.mp4"], None, 2, False)
