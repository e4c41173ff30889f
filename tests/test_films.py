"""Films in every format: pixels, time, the workflow inside. Folders of frames. Names that ask for either."""

import json
import math
import os
import signal
import sys
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from killing import content, forked
from PIL import Image

from svd_nodes.headless import films
from svd_nodes.headless.encoders import GIF_FASTEST, durations, encode_mp4, gif_timing, texts
from svd_nodes.headless.films import FILM_ENDINGS, check_free, check_rate, output_kind, pingpong, write_film
from svd_nodes.svd.errors import InputError, NonFiniteError
from svd_nodes.svd.files.publish import reason

CONTAINERS, ANIMATIONS = (".mp4", ".mov", ".webm"), (".webp", ".gif", ".apng")
METADATA = {"prompt": {"1": {"inputs": {"text": 'é "quoted"', "scale": math.inf}}}, "workflow": {"nodes": [math.nan]}}
WRITTEN = {"prompt": {"1": {"inputs": {"text": 'é "quoted"', "scale": None}}}, "workflow": {"nodes": [None]}}


def read_film(path):
    """The frames, `t h w 3`, and the seconds that each is shown."""
    if path.suffix in CONTAINERS:
        with av.open(str(path)) as film:
            stream = film.streams.video[0]
            packets = [(packet.pts * packet.time_base, packet.size) for packet in film.demux(stream) if packet.size]
        with av.open(str(path)) as film:
            frames = [f.to_ndarray(format="rgb24", src_colorspace="ITU709") for f in film.decode(video=0)]
            total = film.duration / av.time_base
        starts = sorted(float(start) for start, _ in packets)
        return np.stack(frames), np.diff([*starts, total])
    frames, spans = [], []
    with Image.open(path) as film:
        for number in range(getattr(film, "n_frames", 1)):
            film.seek(number)
            film.load()
            frames.append(np.asarray(film.convert("RGB")))
            spans.append(film.info["duration"] / 1000)
    return np.stack(frames), np.array(spans)


def embedded(path):
    if path.suffix in CONTAINERS:
        with av.open(str(path)) as film:
            found = {key.lower(): text for key, text in film.metadata.items()}
    else:
        with Image.open(path) as film:
            exif = film.getexif()
            if path.suffix == ".gif":
                return json.loads(film.info["comment"])
            found = dict(film.text) if path.suffix == ".apng" else {}
            found |= dict(exif[field].split(":", 1) for field in (0x0110, 0x010F) if field in exif)
    return {key: json.loads(found[key]) for key in ("prompt", "workflow")}


def moving(frames=6, height=24, width=32):
    """A soft picture that moves to the right, as films are; `t h w 3`."""
    x = torch.linspace(0, 3, width)[None] + torch.arange(frames)[:, None] * 0.3
    y = torch.linspace(0, 2, height)
    return torch.stack([(x[:, None] + y[None, :, None] * k).sin() * 0.4 + 0.5 for k in (0.5, 1.0, 2.0)], -1)


# ---- what is in a film


@pytest.mark.parametrize("ending", FILM_ENDINGS)
def test_every_format_has_the_frames_and_the_workflow(ending, tmp_path):
    frames = moving()
    path = write_film(tmp_path / f"a{ending.upper()}", frames, 7, METADATA)
    assert path == tmp_path / f"a{ending.upper()}"
    path = path.rename(tmp_path / f"a{ending}")
    found, spans = read_film(path)
    assert found.shape == (6, 24, 32, 3)
    assert np.abs(found / 255 - frames.numpy()).mean() < {".apng": 0.003}.get(ending, 0.02)
    assert abs(spans.sum() - 6 / 7) < 0.006
    assert embedded(path) == WRITTEN
    assert write_film(tmp_path / f"again{ending}", frames, 7, METADATA).read_bytes() == path.read_bytes()
    plain = write_film(tmp_path / f"b{ending}", frames[:1], 7, {})
    assert plain.stat().st_size > 50


@pytest.mark.parametrize("ending", FILM_ENDINGS)
def test_odd_sizes(ending, tmp_path):
    """yuv420p holds colour for 2x2 pixels: one more row and column, which nobody sees."""
    frames = moving(2, 15, 17)
    found, _ = read_film(write_film(tmp_path / f"a{ending}", frames, 7, {}))
    assert found.shape[1:3] == ((16, 18) if ending in CONTAINERS else (15, 17))
    assert np.abs(found[:, :15, :17] / 255 - frames.numpy()).mean() < 0.03


@pytest.mark.parametrize("ending", CONTAINERS)
def test_colours_survive_the_film(ending, tmp_path):
    colours = torch.tensor([[0.9, 0.1, 0.1], [0.1, 0.9, 0.1], [0.1, 0.1, 0.9], [0.5, 0.5, 0.5]])
    path = write_film(tmp_path / f"a{ending}", colours[:, None, None].expand(4, 32, 32, 3), Fraction(7), {})
    with av.open(str(path)) as film:
        context = film.streams.video[0].codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc) == (1, 1, 1)
    found, _ = read_film(path)
    assert np.abs(found[:, 16, 16] / 255 - colours.numpy()).max() < 0.02


@pytest.mark.parametrize("ending", FILM_ENDINGS)
def test_the_fourth_channel(ending, tmp_path):
    """Kept where the format has room for it."""
    frames = torch.cat([moving(2), torch.full((2, 24, 32, 1), 0.5)], -1)
    path = write_film(tmp_path / f"a{ending}", frames, 7, {})
    if ending in (".webp", ".apng"):
        with Image.open(path) as film:
            assert abs(int(np.asarray(film.convert("RGBA"))[..., 3].mean()) - 128) <= 1


# ---- time


RATES = [7, 23.976, Fraction(24000, 1001), 7.5, 29.97, 0.5, 60, 120, Fraction(1, 3)]


@pytest.mark.parametrize("ending", FILM_ENDINGS)
@pytest.mark.parametrize("rate", RATES, ids=str)
def test_durations_add_up(rate, ending, tmp_path):
    """At no moment is a film more than half of its format's tick from where it should be; WEBM in the end a whole."""
    fps, count = films.frame_rate(rate), 24
    found, spans = read_film(write_film(tmp_path / f"a{ending}", moving(count, 8, 16), rate, {}))
    tick = {".gif": 0.01, ".webp": 0.001, ".webm": 0.002}.get(ending, 0)
    at = np.cumsum(spans)
    if ending == ".gif" and fps > GIF_FASTEST:
        assert len(spans) < count
        assert spans.min() >= 0.02, "browsers take a tenth of a second for less"
        assert abs(at[-1] - float(count / fps)) <= 0.0051
    else:
        assert len(found) == count
        assert np.abs(at - np.arange(1, count + 1) / float(fps)).max() <= tick / 2 + 2e-6


def test_the_counts_of_the_formats():
    assert durations(5, Fraction(7), 1000) == [143, 143, 143, 142, 143]
    assert durations(6, Fraction(60), 1000) == [17, 16, 17, 17, 16, 17]
    assert durations(3, Fraction(1000), 1000) == [1, 1, 1]
    shown, spans = gif_timing(6, Fraction(60))
    assert (shown, spans) == ([0, 1, 2, 3, 4], [2, 2, 2, 2, 2])
    assert gif_timing(1, Fraction(120)) == ([0], [1])
    assert gif_timing(2, Fraction(2)) == ([0, 1], [50, 50])
    for fps in (51, 60, 99, 100, 120, 240):
        for count in range(1, 60):
            shown, spans = gif_timing(count, Fraction(fps))
            assert sum(spans) == max(1, round(Fraction(count * 100, fps)))
            assert shown == sorted(set(shown))
            assert 0 <= shown[-1] < count


def test_a_rate_as_it_was_written():
    assert films.frame_rate(0.1) == Fraction(1, 10)
    assert films.frame_rate(23.976) == Fraction(2997, 125)
    assert films.frame_rate(Fraction(24000, 1001)) == Fraction(24000, 1001)


@pytest.mark.parametrize(("ending", "fps"), [(".webp", 1001), (".mp4", 0), (".webm", 2000), (".apng", -1)])
def test_rates_that_a_format_cannot_hold(ending, fps, tmp_path):
    for refuse in (
        lambda: check_rate(ending, fps),
        lambda: write_film(tmp_path / f"a{ending}", torch.rand(2, 8, 8, 3), fps, {}),
    ):
        with pytest.raises(InputError, match=rf"A \{ending} film has .* frames per second, and this one {fps}; choose"):
            refuse()
    assert list(tmp_path.iterdir()) == []


def test_pingpong_goes_and_comes_back_without_standing_still():
    for count, expected in ((1, [0]), (2, [0, 1]), (3, [0, 1, 2, 1]), (5, [0, 1, 2, 3, 4, 3, 2, 1])):
        frames = torch.arange(count).float()[:, None, None, None].expand(-1, 2, 3, 3)
        assert pingpong(frames)[:, 0, 0, 0].tolist() == expected
        looped = [*expected, *expected]
        assert count == 1 or all(one != next for one, next in pairwise(looped))


# ---- what cannot be written


def test_nan_is_not_saved(tmp_path):
    images = torch.rand(2, 16, 16, 3)
    images[1, 3, 3, 0] = math.nan
    for write in (
        lambda: write_film(tmp_path / "a.mp4", images, Fraction(7), {}),
        lambda: films.write_frames(tmp_path / "a", images, {}),
        lambda: films.write_pngs([tmp_path / "a.png", tmp_path / "b.png"], images, {}),
    ):
        with pytest.raises(NonFiniteError):
            write()
    assert list(tmp_path.iterdir()) == []


def test_sizes_that_a_format_cannot_hold(tmp_path):
    frames = torch.zeros(1, 2, 16386, 3)
    with pytest.raises(InputError, match=r"A \.mp4 film can be 16384 pixels wide"):
        write_film(tmp_path / "a.mp4", frames, Fraction(7), {})
    with pytest.raises(InputError, match=r"A \.webp film can be 16383 pixels wide"):
        write_film(tmp_path / "a.webp", frames, 7, {}, lossless=False, quality=90)
    assert list(tmp_path.iterdir()) == []
    assert write_film(tmp_path / "a.gif", frames, 7, {}).stat().st_size


def test_what_the_encoder_refuses_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(films.FORMATS, ".mp4", films.Format(encode_mp4))
    with pytest.raises(InputError, match="The encoder refuses 16386 x 2"):
        write_film(tmp_path / "a.mp4", torch.zeros(1, 2, 16386, 3), Fraction(7), {})
    assert list(tmp_path.iterdir()) == []


def nested(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (nested(984), "nested more than 200 deep"),
        (nested(100_000), "nested more than 200 deep"),
        ({"a": 10**5000}, "cannot be written as JSON (Exceeds the limit"),
        ({"a": {1, 2}}, "cannot be written as JSON (Object of type set"),
    ],
    ids=["deep", "very deep", "long number", "no JSON"],
)
def test_metadata_that_cannot_be_written_back(value, sentence, tmp_path):
    """Found by the check that comes before the work, and nothing half-written where nobody asked it."""
    for refuse in (
        lambda: texts({"prompt": value}),
        *(lambda e=e: write_film(tmp_path / f"a{e}", moving(2), 7, {"prompt": value}) for e in FILM_ENDINGS),
        lambda: films.write_frames(tmp_path / "a", moving(2), {"prompt": value}),
    ):
        with pytest.raises(InputError) as caught:
            refuse()
        assert sentence in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    assert len(texts({"prompt": nested(150), "workflow": {"a": 10**4000}})) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="limits on file sizes are POSIX")
@pytest.mark.parametrize("name", [*(f"a{ending}" for ending in FILM_ENDINGS), "frames"])
def test_a_full_disk_leaves_nothing(name, tmp_path):
    """A limit on the size of files fails a write as a full disk does."""
    import resource

    frames = torch.rand(8, 96, 96, 3)
    (tmp_path / "a.mp4").write_text("old")
    before = content(tmp_path)

    def work():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        with pytest.raises(OSError) as caught:  # noqa: PT011
            films.write_clip(tmp_path / name, output_kind(name), frames, 7, {}, overwrite=True)
        assert reason(caught.value).startswith("the disk is full"), caught.value
        with pytest.raises(OSError):  # noqa: PT011
            films.write_pngs([tmp_path / "a.png"], frames[:1], {})

    assert forked(work) == 0
    assert content(tmp_path) == before
    assert os.listdir(tmp_path) == ["a.mp4"]


# ---- names


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((f"new/a{ending}", "film") for ending in FILM_ENDINGS),
        ("a.MP4", "film"),
        ("take.2.mp4", "film"),
        ("frames", "folder"),
        (".", "folder"),
        ("..", "folder"),
        ("take.1/", "folder"),
        ("a.mp4/", "folder"),
        ("made.1", "folder"),
        ("made.mp4", "folder"),
        (".hidden", "folder"),
    ],
)
def test_what_a_name_asks_for(name, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for there in ("made.1", "made.mp4"):
        Path(there).mkdir()
    assert output_kind(name) == kind


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("take.1", "take.1 is not .mp4, .mov, .webm, .webp, .gif, .apng or a folder; choose one of these. A folder "
         "with a dot in its name has to be made first, or written with a slash at its end."),
        ("clips.v2/take.1", "clips.v2/take.1 is not"),
        ("a.avi", "a.avi is not"),
        ("a.png", "a.png is not"),
        ("clips/.mp4", "clips/.mp4 has nothing before its ending; give it a name, such as clip.mp4."),
        ("x" * 250 + ".mp4", "is longer than 200 bytes"),
        ("x" * 250, "is longer than 200 bytes"),
        ("a\ud800.mp4", "holds half a character"),
    ],
)  # fmt: skip
def test_names_that_ask_for_nothing(name, sentence):
    with pytest.raises(InputError) as caught:
        output_kind(name)
    assert sentence in str(caught.value)


def test_what_is_there_is_kept_unless_asked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.mp4").write_text("mine")
    Path("folder.mp4").mkdir()
    Path("link.mp4").symlink_to("nowhere")
    Path("empty").mkdir()
    films.write_frames(Path("frames"), moving(2), {})
    films.write_frames(Path("diary"), moving(2), {})
    Path("diary/mine.txt").touch()
    there, else_ = "exists already; choose another name, or replace it with --overwrite.", "holds something else"
    for name, kind, plain, asked in (
        ("a.mp4", "film", there, None),
        ("a.mp4", "folder", else_, else_),
        ("folder.mp4", "film", else_, else_),
        ("folder.mp4", "folder", None, None),
        ("link.mp4", "film", else_, else_),
        ("empty", "folder", None, None),
        ("frames", "folder", there, None),
        ("diary", "folder", else_, else_),
        ("new.mp4", "film", None, None),
        ("new/new", "folder", None, None),
    ):
        for overwrite, sentence in ((False, plain), (True, asked)):
            if sentence is None:
                check_free(Path(name), overwrite, kind)
            else:
                with pytest.raises(InputError, match=sentence.replace(".", r"\.")):
                    check_free(Path(name), overwrite, kind)


def test_frames_of_a_clip_are_replaced_as_one(tmp_path):
    films.write_frames(tmp_path / "a", moving(4), METADATA)
    (tmp_path / "a/notes.txt").write_text("mine")
    films.write_frames(tmp_path / "a", moving(2) / 2, METADATA, overwrite=True)
    assert sorted(os.listdir(tmp_path / "a")) == ["frame_00001.png", "frame_00002.png", "notes.txt"]
    with Image.open(tmp_path / "a/frame_00002.png") as frame:
        assert np.array_equal(np.asarray(frame), films.to_bytes(moving(2) / 2)[1])
        assert {key: json.loads(text) for key, text in frame.text.items()} == WRITTEN
