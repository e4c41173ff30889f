"""The stand-ins for core's nodes that put pictures together. `comfyui/` compares them with core's own."""

import pytest
import torch

from svd_nodes.headless.core_images import COLOURS, ImageBatch, ImageStitch


def stitch(one, other, direction="right", match=True, spacing=0, colour="white"):
    return ImageStitch.execute(one, direction, match, spacing, colour, other).args[0]


@pytest.mark.parametrize(("direction", "dim", "first"), [("right", 2, 0), ("left", 2, 1), ("down", 1, 0), ("up", 1, 1)])
def test_two_films_side_by_side(direction, dim, first):
    films = [torch.rand(3, 8, 12, 3), torch.rand(3, 8, 12, 3)]
    both = stitch(*films, direction)
    assert both.shape[dim] == 2 * films[0].shape[dim]
    assert torch.equal(both.narrow(dim, 0, films[0].shape[dim]), films[first])
    assert torch.equal(both.narrow(dim, films[0].shape[dim], films[0].shape[dim]), films[1 - first])


@pytest.mark.parametrize("colour", COLOURS)
def test_the_space_between_has_its_colour_and_an_even_width(colour):
    both = stitch(torch.rand(1, 4, 6, 3), torch.rand(1, 4, 6, 3), spacing=3, colour=colour)
    assert both.shape == (1, 4, 16, 3)
    assert torch.equal(both[:, :, 6:10], torch.tensor(COLOURS[colour]).expand(1, 4, 4, 3).float())


def test_the_last_frame_of_the_shorter_film_is_held_and_alpha_is_filled_in():
    short, long = torch.rand(1, 4, 6, 3), torch.rand(3, 4, 6, 4)
    both = stitch(short, long)
    assert both.shape == (3, 4, 12, 4)
    assert torch.equal(both[2, :, :6, :3], short[0])
    assert (both[:, :, :6, 3] == 1).all()


def test_another_size_is_matched_or_set_in_the_middle():
    small, large = torch.zeros(1, 4, 6, 3), torch.ones(1, 8, 6, 3)
    assert stitch(small, large).shape == (1, 4, 6 + 3, 3)
    assert stitch(small, large, "down").shape == (1, 4 + 8, 6, 3)
    for colour, margin in (("white", 1), ("black", 0), ("blue", 0)):
        both = stitch(small + 0.5, large, match=False, colour=colour)
        assert both.shape == (1, 8, 12, 3)
        assert both[0, :, 0, 2].tolist() == [margin, margin, 0.5, 0.5, 0.5, 0.5, margin, margin]


def test_one_picture_alone_stays_as_it_is():
    one = torch.rand(2, 4, 6, 3)
    assert stitch(one, None) is one


def test_a_batch_takes_the_size_of_the_first_and_the_middle_of_the_second():
    first, second = torch.rand(2, 4, 4, 3), torch.zeros(1, 4, 12, 3)
    second[:, :, 4:8] = 1
    batch = ImageBatch.execute(first, second).args[0]
    assert batch.shape == (3, 4, 4, 3)
    assert torch.equal(batch[:2], first)
    assert (batch[2] == 1).all()
