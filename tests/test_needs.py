"""What the page is told about a run before it."""

import pytest
import tiny_files
import torch

from svd_nodes.nodes import host, memory
from svd_nodes.nodes import needs as subject
from svd_nodes.nodes.host import standalone
from svd_nodes.svd import decoding
from svd_nodes.svd.config import UNetConfig, VAEConfig
from svd_nodes.svd.errors import InputError
from svd_nodes.svd.recommended import NANO, Recommended

GIB = 2**30


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_files.checkpoint(tmp_path_factory.mktemp("estimate"), "svd_xt_tiny.safetensors")


def asked(file, **changes):
    settings = {"checkpoint": file, "precision": "fp16", "memory": "fast", "width": 1024, "height": 576, "frames": 25}
    settings |= {"steps": 30, "frames_per_chunk": 14, "guided": 1}
    return {name: str(value) for name, value in (settings | changes).items()}


def test_bytes_are_those_the_memory_manager_is_told(tiny, card):
    card(80)
    told = subject.estimate(asked(tiny))
    opened = subject.open_checkpoint(tiny)
    assert told["sampling"] == memory.sampling(opened.unet.config, 50, 72, 128, 2)
    assert told["decoding"] == memory.decoding(opened.vae.config, 14, 576, 1024, 2)
    assert told["memory"] == "fast"
    assert told["weights"] == 2 * opened.unet.parameters


@pytest.fixture
def card(monkeypatch):
    """Gives the host a card of so many GiB."""

    def give(gib):
        monkeypatch.setattr(host, "device_memory", lambda: gib * GIB)
        monkeypatch.setattr(host, "free_memory", lambda: gib * GIB)

    return give


def test_guidance_s_halves_are_counted_as_they_run(tiny, card):
    card(80)
    bytes = {mode: subject.estimate(asked(tiny, memory=mode))["sampling"] for mode in memory.MODES}
    assert bytes["auto"] == bytes["fast"] == 2 * bytes["balanced"] == 2 * bytes["low"]
    assert subject.estimate(asked(tiny, guided=0))["sampling"] == bytes["low"]


def test_auto_is_what_the_loader_will_choose(tiny, card):
    for gib, chosen in ((80, "fast"), (0.1, "low")):
        card(gib)
        assert subject.estimate(asked(tiny, memory="auto"))["memory"] == chosen


def test_fast_decodes_whole_where_there_is_room(tiny, card):
    config = subject.open_checkpoint(tiny).vae.config
    whole, pieces = decoding.whole(config, 14, 72, 128, 2), memory.decoding(config, 14, 576, 1024, 2)
    assert pieces < whole
    bytes = ("decoding", "decoding_at_most")
    card(80)
    assert [subject.estimate(asked(tiny))[name] for name in bytes] == [pieces, whole]
    assert [subject.estimate(asked(tiny, memory="low"))[name] for name in bytes] == [pieces, pieces]


def test_on_a_cpu_fast_always_decodes_whole(tiny):
    config = subject.open_checkpoint(tiny).vae.config
    with standalone.Session(device=torch.device("cpu")).active():
        told = subject.estimate(asked(tiny))
    assert told["decoding"] == told["decoding_at_most"] == decoding.whole(config, 14, 72, 128, 2)


def test_a_chunk_is_never_longer_than_the_clip(tiny):
    assert (
        subject.estimate(asked(tiny, frames=3))["decoding"]
        == subject.estimate(asked(tiny, frames=3, frames_per_chunk=3))["decoding"]
    )


def test_the_chunk_that_fits_the_card(tiny, card):
    card(1)
    told = subject.estimate(asked(tiny))
    config = subject.open_checkpoint(tiny).vae.config
    assert 0 < told["fitting_chunk"] < 25
    assert memory.decoding(config, told["fitting_chunk"], 576, 1024, 2) <= GIB


def test_nothing_is_foretold_of_an_unknown_card_or_before_a_run(tiny, monkeypatch):
    monkeypatch.setattr(host, "device_memory", lambda: None)
    told = subject.estimate(asked(tiny))
    assert told["card"] is told["fitting_chunk"] is told["sampling_seconds"] is told["decoding_seconds"] is None


def test_time_follows_the_work_of_the_last_run(tiny, monkeypatch):
    monkeypatch.setattr(host, "seconds_for", lambda work: work.amount)
    first, half, unguided = (subject.estimate(asked(tiny, **c)) for c in ({}, {"steps": 15}, {"guided": 0}))
    assert half["sampling_seconds"] == unguided["sampling_seconds"] == first["sampling_seconds"] / 2
    assert half["decoding_seconds"] == first["decoding_seconds"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"checkpoint": "gone.safetensors"}, "no checkpoint called 'gone.safetensors'"),
        ({"frames": 0}, "frames is '0': it must be a whole number between 1 and 1024"),
        ({"width": "wide"}, "width is 'wide'"),
        ({"steps": "-3"}, "steps is '-3'"),
        ({"width": 7}, "width is '7': it must be a whole number between 8 and 8192"),
        ({"width": "9" * 5000}, "width is '99999999999999999999': it must be"),
        ({"frames": "\u0663"}, "frames is '\u0663'"),
        ({"height": 10**9}, "height is"),
        ({"precision": "fp64"}, "precision is 'fp64'"),
        ({"memory": "tiny"}, "memory is 'tiny': choose one of auto, fast, balanced, low"),
    ],
)
def test_settings_that_cannot_run_are_refused(tiny, changes, sentence):
    with pytest.raises(InputError, match=sentence.replace("(", r"\(")):
        subject.estimate(asked(tiny, **changes))


def test_what_a_checkpoint_is_good_at_is_told_by_its_name():
    told = subject.best_of({"checkpoint": "svd_nano.safetensors"})
    assert Recommended(**told) == NANO
    with pytest.raises(InputError, match="no checkpoint called 'gone'"):
        subject.best_of({"checkpoint": "gone"})
    with pytest.raises(InputError):
        subject.best_of({})


def test_a_replaced_file_is_opened_anew(tmp_path):
    file = tiny_files.checkpoint(tmp_path, "svd.safetensors")
    assert subject.best_of({"checkpoint": str(file)})["frames"] == 4
    file.write_bytes(b"broken")
    with pytest.raises(InputError):
        subject.estimate(asked(file))


def test_the_work_of_a_step_is_what_was_measured():
    """159.9 TFLOP for a guided pair of 25 frames of 1024 x 576, of which a multiplication is two."""
    work = subject.sampling_work(UNetConfig(), torch.float16, 50, 72, 128)
    assert 2 * work.amount == pytest.approx(159.9e12, rel=0.2)


def test_kinds_of_work_are_told_apart():
    kinds = {subject.sampling_work(UNetConfig(), dtype, 2, 8, 8).kind for dtype in (torch.float16, torch.float32)}
    kinds |= {subject.decoding_work(VAEConfig(), torch.float16, 2, 8, 8).kind}
    assert len(kinds) == 3


def test_the_standalone_host_has_the_same_names():
    assert standalone.seconds_for(host.Work("sampling", 1.0)) is None
    with standalone.Session(device=torch.device("cpu")).active():
        assert standalone.device_memory() is None
