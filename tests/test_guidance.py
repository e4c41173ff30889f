"""Per-frame guidance: the published ramps and the combination."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from svd_nodes.svd.errors import InputError
from svd_nodes.svd.guidance import SHAPES, guidance_scale, guide


def test_linear_is_a_ramp():
    assert guidance_scale("linear", 1.0, 3.0, 5).tolist() == pytest.approx([1, 1.5, 2, 2.5, 3])


def test_triangle_is_sv3ds():
    scale = guidance_scale("triangle", 1.0, 2.5, 21).tolist()
    assert scale[:3] == pytest.approx([1.0, 1.15, 1.3])
    assert max(scale) == scale[10] == pytest.approx(2.5)
    assert scale == pytest.approx(scale[::-1])


def test_constant_is_the_maximum():
    assert guidance_scale("constant", 1.0, 3.0, 4).tolist() == [3.0] * 4


@given(shape=st.sampled_from(sorted(SHAPES)), low=st.floats(0, 5), rise=st.floats(0, 5), frames=st.integers(1, 60))
def test_every_shape_stays_between_its_ends(shape, low, rise, frames):
    scale = guidance_scale(shape, low, low + rise, frames)
    assert scale.shape == (frames,)
    assert (scale >= low - 1e-5).all()
    assert (scale <= low + rise + 1e-5).all()


def test_guide():
    uncond, cond = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 5.0])
    assert guide(uncond, cond, torch.tensor(0.0)).tolist() == uncond.tolist()
    assert guide(uncond, cond, torch.tensor(1.0)).tolist() == cond.tolist()
    assert guide(uncond, cond, torch.tensor(2.0)).tolist() == [5.0, 8.0]


def test_bad_guidance():
    with pytest.raises(InputError, match="'cubic' is unknown: choose one of linear, triangle, constant"):
        guidance_scale("cubic", 1, 2, 3)
    with pytest.raises(InputError, match="frames is 0"):
        guidance_scale("linear", 1, 2, 0)
