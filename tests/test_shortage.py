"""What is advised when memory runs out: every number in it fits, and is less than what failed."""

import re

import pytest

from svd_nodes.nodes import memory, shortage
from svd_nodes.svd.config import UNetConfig, VAEConfig

UNET, VAE = UNetConfig(), VAEConfig()
GIB = 2**30


def numbers(sentence: str, pattern: str) -> tuple[int, ...]:
    found = re.search(pattern, sentence)
    assert found, sentence
    return tuple(map(int, found.groups()))


def decoding_fits(frames: int, width: int, height: int, room: int) -> bool:
    return memory.decoding(VAE, frames, height, width, 2) <= room


def test_the_largest_number_that_fits():
    assert shortage.most(lambda n: 10 * n, 14, 75) == 7
    assert shortage.most(lambda n: 10 * n, 7, 75) == 6
    assert shortage.most(lambda n: 10 * n, 14, 9) == 0


@pytest.mark.parametrize("gib", [1.5, 2, 2.5, 3])
def test_decoding_names_a_chunk_that_fits(gib):
    sentence = shortage.decoding(VAE, 14, 576, 1024, 2, False, gib * GIB)
    (frames,) = numbers(sentence, r"set frames_per_chunk to (\d+)")
    assert 1 <= frames < 14
    assert decoding_fits(frames, 1024, 576, gib * GIB)
    assert not decoding_fits(frames + 1, 1024, 576, shortage.SHARE * gib * GIB)


def test_decoding_that_takes_a_smaller_size():
    sentence = shortage.decoding(VAE, 14, 1152, 2048, 2, False, GIB)
    width, height = numbers(sentence, r"Fit Image to (\d+) x (\d+)")
    assert width % 64 == height % 64 == 0
    assert decoding_fits(1, width, height, GIB)
    assert 1.5 < width / height < 2.1


def test_an_estimate_that_was_too_low_is_not_trusted():
    """There was room for the estimate, and it still failed: the advice is below what failed."""
    (frames,) = numbers(shortage.decoding(VAE, 14, 576, 1024, 2, False, 80 * GIB), r"frames_per_chunk to (\d+)")
    assert frames == 12


def test_where_the_room_is_unknown_half_the_estimate_is_aimed_at():
    assert "frames_per_chunk to 5 or lower" in shortage.decoding(VAE, 14, 576, 1024, 2, False, None)


@pytest.mark.parametrize("gib", [1, 2, 3])
def test_sampling_names_frames_or_a_size_that_fit(gib):
    sentence = shortage.sampling(UNET, 1, 25, 72, 128, 2, 2, True, gib * GIB)
    (frames,) = numbers(sentence, r"set frames to (\d+)")
    width, height = numbers(sentence, r"Fit Image to (\d+) x (\d+)")
    assert memory.sampling(UNET, 2 * frames, 72, 128, 2) <= gib * GIB
    assert memory.sampling(UNET, 50, height // 8, width // 8, 2) <= gib * GIB
    assert 1 <= frames < 25
    assert (width, height) < (1024, 576)


def test_sampling_several_clips_names_how_many_at_a_time():
    sentence = shortage.sampling(UNET, 4, 25, 72, 128, 2, 2, True, 12 * GIB)
    assert (
        "4 clips of 25 frames of 1024 x 576: set memory of Load SVD Checkpoint to low, or give 3 pictures" in sentence
    )
    assert memory.sampling(UNET, 2 * 3 * 25, 72, 128, 2) <= 12 * GIB < memory.sampling(UNET, 2 * 4 * 25, 72, 128, 2)


def test_encoding_names_a_size():
    sentence = shortage.encoding(VAE, 1152, 2048, False, GIB)
    width, height = numbers(sentence, r"a picture of 2048 x 1152: set width and height of Fit Image to (\d+) x (\d+)")
    assert memory.encoding(VAE, height, width) <= GIB


def test_the_smallest_size_is_where_it_ends():
    assert shortage.smaller(lambda w, h: 10**9, 1024, 576, 1) == (64, 64)
    assert shortage.smaller(lambda w, h: 0, 1024, 576, 1) == (960, 512)
    assert shortage.smaller(lambda w, h: 0, 64, 576, 1) == (64, 512)
    for width, height in ((64, 64), (56, 576), (40, 8)):
        assert shortage.smaller(lambda w, h: 0, width, height, 1) is None


NOTHING_LEFT = "end what else takes memory, as no setting of this node needs less."


def said(frames, side, low):
    """What each node says where nothing is small enough, of one clip."""
    latent = side // 8
    return {
        "decoding": shortage.decoding(VAE, frames, side, side, 2, low, GIB // 8),
        "sampling": shortage.sampling(UNET, 1, frames, latent, latent, 2, 2 if low else 1, low, GIB // 999),
        "encoding": shortage.encoding(VAE, side, side, low, GIB // 999),
        "embedding": shortage.embedding(low, GIB // 999),
    }


@pytest.mark.parametrize("side", [64, 40])
def test_where_everything_is_at_its_least_nothing_is_advised(side):
    for sentence in said(1, side, low=False).values():
        assert sentence.endswith(f": {NOTHING_LEFT}")


@pytest.mark.parametrize(("frames", "side"), [(1, 64), (1, 512), (14, 64), (14, 512)])
def test_what_is_set_already_is_not_advised(frames, side):
    for low in (True, False):
        for node, sentence in said(frames, side, low).items():
            assert ("memory of Load SVD Checkpoint to low" in sentence) == low, node
            assert f"to {side} x {side} or smaller" not in sentence, node
            assert f"to {frames} or lower" not in sentence, node
            assert "frames_per_chunk to 1," not in sentence or frames > 1, node
    assert "give" not in said(frames, side, True)["sampling"]
