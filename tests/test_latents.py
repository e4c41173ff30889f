"""Latents that core's nodes cut, join, repeat and deal out anew between SVD Sampler and SVD VAE Decode.

Each of core's nodes is here as it treats `samples`, `batch_index` and the rest of a latent.
"""

from typing import Any

import pytest
import torch

from svd_nodes.nodes import wires
from svd_nodes.nodes.decode import Decode
from svd_nodes.nodes.host import standalone
from svd_nodes.svd.errors import InputError
from svd_nodes.tools.random_checkpoint import preset_models

Latent = dict[str, Any]


def sampled(clips: int = 1, frames: int = 4, seed: int = 0) -> Latent:
    noise = torch.randn(clips * frames, 4, 2, 3, generator=torch.Generator().manual_seed(seed))
    return wires.to_latent(0.3 * noise, frames)


def from_batch(latent: Latent, begin: int, length: int) -> Latent:
    places = slice(begin, begin + length)
    index = latent.get("batch_index") or list(range(len(latent["samples"])))
    return latent | {"samples": latent["samples"][places], "batch_index": index[places]}


def batch(a: Latent, b: Latent) -> Latent:
    indices = [latent.get("batch_index", list(range(len(latent["samples"])))) for latent in (a, b)]
    return a | {"samples": torch.cat([a["samples"], b["samples"]]), "batch_index": indices[0] + indices[1]}


def repeat(latent: Latent, amount: int) -> Latent:
    repeated = latent | {"samples": latent["samples"].repeat(amount, 1, 1, 1)}
    if index := latent.get("batch_index"):
        offset = max(index) - min(index) + 1
        repeated["batch_index"] = [x + i * offset for i in range(amount) for x in index]
    return repeated


def rebatch(latent: Latent, size: int) -> list[Latent]:
    pieces = zip(latent["samples"].split(size), range(0, len(latent["samples"]), size), strict=True)
    return [{"samples": x, "batch_index": latent["batch_index"][at : at + size]} for x, at in pieces]


def samples_alone(latent: Latent, samples: torch.Tensor) -> Latent:
    """What other packs' nodes do, which know of nothing but the samples."""
    return latent | {"samples": samples}


ONE, TWO, SHORT, STILL = sampled(), sampled(2), sampled(frames=2, seed=1), sampled(3, frames=1)
CORES = {"samples": ONE["samples"]}  # from core's own sampler: nothing beside the samples

TOLD_APART = {
    "as it is": (TWO, [4, 4]),
    "the first frame": (from_batch(ONE, 0, 1), [1]),
    "the first three": (from_batch(ONE, 0, 3), [3]),
    "the last three": (from_batch(ONE, 1, 3), [3]),
    "a whole clip of two": (from_batch(TWO, 4, 4), [4]),
    "across two clips": (from_batch(TWO, 2, 4), [2, 2]),
    "across two clips, cut twice": (from_batch(from_batch(TWO, 2, 5), 1, 3), [1, 2]),
    "a clip of four and one of two": (batch(ONE, SHORT), [4, 2]),
    "one of two and a clip of four": (batch(SHORT, ONE), [2, 4]),
    "three clips": (batch(TWO, ONE), [4, 4, 4]),
    "pieces joined": (batch(from_batch(ONE, 0, 2), from_batch(TWO, 3, 2)), [2, 1, 1]),
    "repeated": (repeat(ONE, 3), [4, 4, 4]),
    "two clips repeated": (repeat(TWO, 2), [4, 4, 4, 4]),
    "a piece repeated": (repeat(from_batch(ONE, 0, 3), 2), [3, 3]),
    "half a clip repeated": (repeat(from_batch(ONE, 0, 2), 2), [2, 2]),
    "dealt out clip by clip": (rebatch(TWO, 4)[1], [4]),
    "dealt out across two clips": (rebatch(TWO, 6)[0], [4, 2]),
    "the rest of that": (rebatch(TWO, 6)[1], [2]),
    "clips of one frame": (STILL, [1, 1, 1]),
    "clips of one frame dealt out": (rebatch(STILL, 2)[0], [1, 1]),
    "a clip of one frame and one of four": (batch(from_batch(STILL, 0, 1), ONE), [1, 4]),
    "of core's sampler": (CORES, [4]),
    "of core's sampler, cut": (from_batch(CORES, 1, 3), [3]),
    "of core's sampler, joined": (batch(CORES, CORES), [8]),
    "frames as 4.0": (ONE | {"frames": 4.0}, [4]),
    "only the count: one clip": ({"samples": ONE["samples"], "frames": 4}, [4]),
    "only the count: two clips": ({"samples": TWO["samples"], "frames": 4}, [4, 4]),
    "only the count: less than a clip": ({"samples": ONE["samples"][:3], "frames": 4}, [3]),
    "samples alone cut, of one clip": (samples_alone(ONE, ONE["samples"][:1]), [1]),
    "samples alone repeated": (samples_alone(ONE, ONE["samples"].repeat(2, 1, 1, 1)), [4, 4]),
}
REFUSED = {
    "samples alone cut, of two clips": (
        samples_alone(TWO, TWO["samples"][2:6]),
        "4 frames cut out of several clips",
    ),
    "samples alone joined": (samples_alone(ONE, torch.cat([ONE["samples"], SHORT["samples"]])), "6 frames, which does"),
    "only the count": ({"samples": TWO["samples"][:6], "frames": 4}, "6 frames, which does not make whole clips of 4"),
    "nothing": (samples_alone(ONE, ONE["samples"][:0]), "has 0 frames"),
    "frames 0": (ONE | {"frames": 0}, "a clip has 0 frames"),
    "frames -4": (ONE | {"frames": -4}, "a clip has -4 frames"),
    "frames 2.5": (ONE | {"frames": 2.5}, "a clip has 2.5 frames"),
    "frames NaN": (ONE | {"frames": float("nan")}, "a clip has nan frames"),
    "frames infinite": (ONE | {"frames": float("inf")}, "a clip has inf frames"),
    "frames as text": (ONE | {"frames": "4"}, "a clip has '4' frames"),
}


@pytest.fixture(scope="module")
def vae():
    with standalone.Session(device=torch.device("cpu")).active():
        yield standalone.Network(preset_models("tiny").vae)


@pytest.mark.parametrize("name", TOLD_APART)
def test_no_clip_is_blended_into_another(name, vae):
    latent, clips = TOLD_APART[name]
    assert wires.clips_of(latent) == clips
    frames = Decode.execute(vae, latent, 14)[0]
    alone = [Decode.execute(vae, {"samples": clip}, 14)[0] for clip in latent["samples"].split(clips)]
    assert torch.equal(frames, torch.cat(alone))


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_told_apart_is_one_sentence(name, vae):
    latent, words = REFUSED[name]
    with pytest.raises(InputError, match=words) as refused:
        Decode.execute(vae, latent, 14)
    assert "\n" not in str(refused.value)


def test_decoding_clips_in_one_piece_would_show():
    """The temporal decoder blends what it sees together, so the tests above can fail."""
    with standalone.Session(device=torch.device("cpu")).active():
        vae = standalone.Network(preset_models("tiny").vae)
        apart = Decode.execute(vae, TWO, 14)[0]
        together = Decode.execute(vae, {"samples": TWO["samples"]}, 14)[0]
    assert not torch.allclose(apart, together, atol=1e-3)
