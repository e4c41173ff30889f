"""Each kernel against its plain twin in fp32: on a card in every precision, without one in Triton's interpreter."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from kernel_device import DEVICE, EXACT, KERNELS, agree, kernels, needs_triton
from oracle import relative
from torch import Tensor, nn
from torch.nn import functional as F

from svd_nodes.svd.kernels import (
    add_and_measure,
    added,
    choice,
    concatenate_and_measure,
    geglu,
    group_norm,
    layer_norm,
    layer_norm_and_copy,
    mix,
    spatial_attention,
    temporal_attention,
    temporal_conv,
    temporal_conv_onto,
    upsample_conv,
    wide_attention,
)
from svd_nodes.svd.kernels.upsample import upsample

pytestmark = needs_triton
HALF = [torch.float16, torch.bfloat16]
DTYPES = [torch.float32, *HALF] if DEVICE == "cuda" else [torch.float32]  # of the kernels that copy, add and normalise
NORM = {torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 1.6e-2}  # few values in a group: divided by little
PRODUCTS = HALF if DEVICE == "cuda" else [torch.float32]  # of the kernels with matrix products in them
many = settings(max_examples=20, derandomize=True, deadline=None, database=None, phases=[Phase.generate])

# Clips and frames. The interpreter takes milliseconds for what a card does at once, so few are large together.
clips = st.tuples(st.integers(1, 3), st.integers(1, 40)).filter(lambda n: n[0] * n[1] <= 40)
side = st.integers(1, 9)
groups, width_of_group = st.sampled_from([1, 2, 4]), st.sampled_from([2, 5, 18, 36])
seeds = st.integers(0, 99)


def randn(*shape: int) -> Tensor:
    return torch.randn(shape)


def maps(*shape: int) -> Tensor:
    return torch.randn(shape).contiguous(memory_format=torch.channels_last)


def fill(layer: nn.Module) -> nn.Module:
    """A layer whose every weight matters."""
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape) / max(parameter[0].numel(), 1) ** 0.5)
            if parameter.ndim == 4:
                parameter.data = parameter.contiguous(memory_format=torch.channels_last)
    return layer.requires_grad_(False)


@many
@given(st.integers(1, 7), side, side, groups, width_of_group, st.sampled_from(["none", "all", "image"]), seeds)
def test_group_norm_of_images(n, h, w, count, width, add, seed):
    torch.manual_seed(seed)
    c = count * width
    vector = {"none": None, "all": randn(c), "image": randn(n, c)}[add]
    for dtype in DTYPES:
        given = maps(n, c, h, w) + 0.5, fill(nn.GroupNorm(count, c)), vector, seed % 2 == 0
        agree(group_norm, *given, dtype=dtype, tolerance=NORM[dtype])


@many
@given(clips, side, side, groups, width_of_group, st.booleans(), seeds)
def test_group_norm_of_clips(clip, h, w, count, width, adds, seed):
    torch.manual_seed(seed)
    b, t = clip
    c = count * width
    x = maps(b, c, t, h * w) + 0.5
    for dtype in DTYPES:
        agree(
            group_norm,
            x,
            fill(nn.GroupNorm(count, c)),
            randn(b * t, c) if adds else None,
            dtype=dtype,
            tolerance=NORM[dtype],
        )


@pytest.mark.slow
@many
@given(clips, side, side, groups, width_of_group, st.booleans(), st.booleans(), st.integers(0, 2), seeds)
def test_a_sum_and_the_norm_that_follows_it(clip, h, w, count, width, adds, shares, after, seed):
    """Of images or of clips. The norm takes the sum's moments, also where it adds vectors of its own."""
    torch.manual_seed(seed)
    (b, t), c = clip, count * width
    shape = (b * t, c, h, w) if seed % 2 else (b, c, t, h * w)
    add, share = randn(c) if adds else None, torch.rand(1) if shares else None
    norm, vector = fill(nn.GroupNorm(count, c)), [None, randn(c), randn(b * t, c)][after]
    for dtype in DTYPES:
        x, y = maps(*shape) + 0.5, maps(*shape)
        agree(lambda *given: add_and_measure(*given)[0], x, y, add, share, dtype=dtype)
        x, y, share = (None if z is None else z.to(DEVICE) for z in (x.to(dtype), y.to(dtype), share))
        with torch.no_grad(), kernels():
            total, moments = add_and_measure(x, y, None if add is None else add.to(x), share, segments=b * t)
        assert moments is not None
        agree_on_norm(total, norm, vector, moments)


def agree_on_norm(x: Tensor, norm: nn.Module, vector: Tensor | None, moments: Tensor) -> None:
    """Asserts that with these moments the norm gives what it gives with those that it takes."""
    norm, vector = norm.to(x), None if vector is None else vector.to(x)
    with torch.no_grad(), kernels() as taken:
        given, own = (group_norm(x, norm, vector, moments=known) for known in (moments, None))
        of_others = group_norm(x, norm, vector, moments=moments + 1)
    assert taken == {"group_norm"}
    assert relative(given.float(), own.float()) <= (2e-5 if x.dtype == torch.float32 else EXACT[x.dtype])
    if vector is None:  # with vectors the norm may need the moments of other segments, and then takes them itself
        assert not torch.equal(given, of_others)


def test_group_norm_in_the_place_of_what_is_used_up():
    torch.manual_seed(0)
    x, norm = maps(2, 8, 3, 5).to(DEVICE), fill(nn.GroupNorm(2, 8)).to(DEVICE)
    expected = F.silu(norm(x))
    with torch.no_grad(), kernels():
        kept = group_norm(x, norm)
        result = group_norm(x, norm, used_up=True)
    assert kept.data_ptr() != x.data_ptr() == result.data_ptr()
    assert relative(kept, expected) <= 2e-5
    assert torch.equal(kept, result)


def test_group_norm_in_many_pieces_far_from_zero():
    """5,000 rows are five pieces of which the last is shorter; their values lie a thousand deviations from zero."""
    torch.manual_seed(0)
    x = (1000 + maps(2, 64, 50, 100)).double()
    norm = fill(nn.GroupNorm(2, 64))
    with torch.no_grad(), kernels() as taken:
        result = group_norm(x.float().to(DEVICE), norm.to(DEVICE), None, False)
    assert taken == {"group_norm"}
    exact = F.group_norm(x.float().double(), 2, norm.weight.double().cpu(), norm.bias.double().cpu(), norm.eps)
    assert relative(result.cpu(), exact) <= 2e-4  # fp32 holds such values to 6e-5 of a deviation


@pytest.mark.slow
@many
@given(clips, st.integers(1, 30), st.sampled_from([32, 64, 96, 320, 1280]), st.integers(0, 5), seeds)
def test_layer_norm(clip, tokens, c, adds, seed):
    """What is added is the same for all, or differs among frames, clips or both."""
    torch.manual_seed(seed)
    b, t = clip
    n = b * t
    add = [None, randn(c), randn(t, c), randn(b, 1, c), randn(1, t, c), randn(b, t, c)][adds]
    for dtype in DTYPES:
        agree(layer_norm, x := randn(n, tokens, c) + 1, norm := fill(nn.LayerNorm(c)), add, dtype=dtype)
        agree(lambda *given: torch.cat(layer_norm_and_copy(*given)), x, norm, add, dtype=dtype)


@many
@given(clips, side, side, st.integers(1, 80), st.integers(0, 2), seeds)
def test_mix(clip, h, w, c, adds, seed):
    torch.manual_seed(seed)
    b, t = clip
    x, y = maps(b, c, t, h * w), maps(b, c, t, h * w)
    add = [None, randn(b, c), randn(b * t, c)][adds] if c > 1 else None
    for dtype in DTYPES:
        agree(mix, x, y, torch.rand(1), torch.rand(1), add, dtype=dtype)


@pytest.mark.slow
@many
@given(st.integers(1, 6), side, side, st.integers(2, 140), st.integers(2, 140), st.integers(0, 3), seeds)
def test_two_maps_side_by_side_and_the_norm_that_follows(n, h, w, a, b, adds, seed):
    torch.manual_seed(seed)
    add = randn(a) if adds & 1 else None, randn(b) if adds & 2 else None
    norm = fill(nn.GroupNorm(1, a + b))
    for dtype in DTYPES:
        agree(added, maps(n, a, h, w), randn(a), dtype=dtype)
        given = maps(n, a, h, w), maps(n, b, h, w), *add
        agree(lambda *maps: concatenate_and_measure(*maps)[0], *given, dtype=dtype)
        with torch.no_grad(), kernels():
            on_card = (None if x is None else x.to(DEVICE, dtype) for x in given)
            beside, moments = concatenate_and_measure(*on_card)
        assert moments is not None
        agree_on_norm(beside, norm, None, moments)


@many
@given(st.integers(1, 4), side, st.integers(1, 70), st.integers(1, 140), st.integers(0, 1), st.integers(0, 1), seeds)
def test_upsample(n, h, w, c, less_height, less_width, seed):
    torch.manual_seed(seed)
    for dtype in DTYPES:
        agree(upsample, maps(n, c, h, w), 2 * h - less_height, 2 * w - less_width, dtype=dtype)


@many
@given(clips, st.integers(1, 6), st.sampled_from([(1, 64), (2, 32), (5, 16), (1, 128)]), seeds)
def test_temporal_attention(clip, places, heads_and_width, seed):
    torch.manual_seed(seed)
    b, t = clip
    heads, width = heads_and_width
    q, k, v = randn(3, b * t, places, heads * width)
    for dtype in PRODUCTS:
        agree(temporal_attention, q * 2, k, v, heads, t, dtype=dtype, tolerance=5e-3 if dtype in HALF else None)


def test_temporal_attention_reads_slices_of_one_product():
    """Where q, k and v are thirds of one tensor, their strides say so."""
    torch.manual_seed(0)
    together = randn(6, 5, 3 * 64)
    plain = temporal_attention(*together.chunk(3, dim=-1), 2, 3)
    with torch.no_grad(), kernels() as taken:
        fast = temporal_attention(*together.to(DEVICE, PRODUCTS[0]).chunk(3, dim=-1), 2, 3)
    assert taken == {"temporal_attention"}
    assert relative(fast.cpu(), plain) <= (2e-6 if DEVICE == "cpu" else 5e-3)


@pytest.mark.slow
@many
@given(
    st.integers(1, 3), side, st.integers(1, 40), st.sampled_from([5, 64]), st.sampled_from([3, 72]),
    st.integers(0, 1), seeds,
)  # fmt: skip
def test_upsample_conv(n, h, w, c_in, c_out, together, seed):
    """All maps together and one by one; every place of the four has neighbours of its own, and so has the border."""
    torch.manual_seed(seed)
    conv = fill(nn.Conv2d(c_in, c_out, 3, padding=1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("svd_nodes.svd.kernels.gpu.upsample_conv.MOST", 2**29 * together)
        patch.setattr(sys.modules[f"{KERNELS}.upsample_conv"], "FEWEST", 1)
        for dtype in DTYPES:  # the sums of weights are rounded once more
            agree(upsample_conv, maps(n, c_in, h, w), conv, 2 * h, 2 * w, dtype=dtype, tolerance=2 * EXACT[dtype])


@pytest.mark.parametrize(("n", "h", "w"), [(1, 16, 32), (3, 23, 25)])
def test_upsample_conv_on_a_processor_is_that_of_the_larger_map(n, h, w):
    conv, x = fill(nn.Conv2d(8, 12, 3, padding=1)), maps(n, 8, h, w)
    with torch.no_grad():
        expected = conv(nn.functional.interpolate(x, scale_factor=2, mode="nearest"))
        found = upsample_conv(x, conv, 2 * h, 2 * w)
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_upsample_conv_of_an_odd_size_is_the_plain_one():
    """The last row has no second copy, so its neighbours are others: the large map is made."""
    conv = fill(nn.Conv2d(8, 4, 3, padding=1))
    agree(upsample_conv, maps(1, 8, 3, 5), conv, 5, 10)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "s", "most"), [(1, 1, 1), (2, 35, 10), (2, 35, 200), (1, 2050, 2**25)])
def test_wide_attention(n, s, most, monkeypatch):
    """One query at a time, a few, and all at once; the largest scores are far above the others."""
    monkeypatch.setattr("svd_nodes.svd.kernels.gpu.wide_attention.MOST", most)
    torch.manual_seed(0)
    q, k, v = randn(3, n, s, 320)
    for dtype in DTYPES:
        agree(wide_attention, q * 3, k, v, dtype=dtype, tolerance=2 * EXACT[dtype])


@pytest.mark.slow
@settings(many, max_examples=10)
@given(clips, side, side, st.sampled_from([16, 48, 80]), st.sampled_from([16, 64, 136]), seeds)
def test_temporal_conv(clip, h, w, c_in, c_out, seed):
    torch.manual_seed(seed)
    b, t = clip
    conv = fill(nn.Conv2d(c_in, c_out, (3, 1), padding=(1, 0)))
    for dtype in PRODUCTS:
        agree(_convolution, maps(b, c_in, t, h * w), conv, dtype=dtype)
        agree(onto, maps(b, c_out, t, h * w), torch.rand(1), maps(b, c_in, t, h * w), conv, dtype=dtype)


@pytest.mark.parametrize(("b", "t", "places"), [(1, 1, 1), (1, 14, 6), (3, 5, 7)])
def test_wide_temporal_conv(b, t, places):
    """From 320 channels on it is a three-dimensional convolution, whose bias is left to the caller."""
    torch.manual_seed(0)
    conv = fill(nn.Conv2d(320, 320, (3, 1), padding=(1, 0)))
    for dtype in PRODUCTS:
        agree(_convolution, maps(b, 320, t, places), conv, dtype=dtype)
        agree(onto, maps(b, 320, t, places), torch.rand(1), maps(b, 320, t, places), conv, dtype=dtype)


def onto(*given) -> Tensor:
    return temporal_conv_onto(*given)[0]


def _convolution(x: Tensor, conv: nn.Conv2d) -> Tensor:
    y, bias = temporal_conv(x, conv)
    return y if bias is None else y + bias[:, None, None]


@many
@given(
    st.integers(1, 5), st.integers(1, 150), st.sampled_from([32, 40, 96, 160]), st.sampled_from([32, 72, 130]), seeds
)
def test_geglu(n, tokens, k, half, seed):
    torch.manual_seed(seed)
    for dtype in PRODUCTS:
        agree(geglu, randn(n, tokens, k), fill(nn.Linear(k, 2 * half)), dtype=dtype)


on_hopper = pytest.mark.skipif(
    DEVICE == "cpu" or torch.cuda.get_device_capability() != (9, 0), reason="Gluon's kernels need a Hopper card."
)


@on_hopper
@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize(
    ("rows", "k", "half"), [(1, 64, 128), (130, 320, 128), (50000, 192, 512), (700, 384, 256), (9000, 1280, 640)]
)
def test_geglu_of_hopper(rows, k, half, dtype):
    """With weights that stay and with such that do not; tiles reach over the edge, programs have several."""
    torch.manual_seed(0)
    agree(geglu, randn(rows, k), fill(nn.Linear(k, 2 * half)), dtype=dtype)


@on_hopper
@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize(("n", "tokens", "heads"), [(1, 1, 1), (2, 77, 1), (3, 513, 2), (50, 144, 3), (7, 1152, 4)])
def test_attention_of_hopper(n, tokens, heads, dtype):
    """Fewer tokens than a step has, whole steps, and a last step that reaches over the edge."""
    torch.manual_seed(0)
    q, k, v = (randn(n, tokens, heads * 64) for _ in range(3))
    agree(spatial_attention, 3 * q, k, v, heads, dtype=dtype, tolerance=2 * EXACT[dtype])


@pytest.mark.slow
def test_what_is_built_ahead_runs():
    """On little data, every kernel and what the libraries have to load."""
    build = sys.modules[f"{KERNELS}.build"]
    with torch.no_grad(), kernels() as taken:
        for jobs in (build._kernel_jobs, build._library_jobs):
            for job in jobs(torch.device(DEVICE), PRODUCTS[0]):
                job()
    assert taken >= {"geglu", "layer_norm", "temporal_attention"}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="Triton brings its assembler for Linux alone.")
@pytest.mark.parametrize("capability", [80, 90])
def test_kernels_compile_without_spilling(capability, tmp_path):
    """For full-size SVD, without a card: what does not fit the registers goes to memory and is slow."""
    script = Path(__file__).with_name("compile_kernels.py")
    environment = os.environ | {"TRITON_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, script, str(capability)], capture_output=True, text=True, check=True, env=environment
    )
    used = json.loads(done.stdout)
    assert {name.split()[0] for name in used} == _kernel_names(capability)
    spilled = {name: use["STACK"] + use["LOCAL"] for name, use in used.items() if use["STACK"] or use["LOCAL"]}
    # Tiles that fill the registers: a few addresses are set aside, once for each tile.
    full = ("_conv ", "_geglu_kept ", "_attend_space ")
    assert {name: size for name, size in spilled.items() if not (name.startswith(full) and size <= 128)} == {}
    most = {80: 163, 90: 227}[capability] * 1024
    assert {name: use for name, use in used.items() if use["SHARED"] > most} == {}


def _kernel_names(capability: int) -> set[str]:
    """Every kernel that is launched; the helpers are compiled with it."""
    folder = Path(sys.modules[KERNELS].__file__).parent / "gpu"
    paths = [path for path in folder.glob("*.py") if capability == 90 or not path.stem.endswith("_hopper")]
    return {name for path in paths for name in re.findall(r"launch\((_\w+), ", path.read_text())}


def test_where_triton_cannot_build_the_plain_paths_are_taken_with_a_warning(monkeypatch):
    """No C compiler, a driver too old, another version: nothing of it may end a run."""

    def fail(*_):
        raise RuntimeError("Failed to find C compiler")

    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (9, 0))
    monkeypatch.setattr("svd_nodes.svd.kernels.gpu.mix.mix", fail)
    builds = choice.builds_kernels.__wrapped__
    with pytest.warns(UserWarning, match="Failed to find C compiler"):
        assert not builds(torch.device("cpu"))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (7, 5))
    assert not builds(torch.device("cpu"))
    assert "7.5" in choice.obstacle(torch.device("cpu"))


def test_a_kernel_that_this_triton_does_not_build_is_done_without(monkeypatch):
    """It is not tried again. Memory that has run out says nothing about the kernel."""
    monkeypatch.setattr(choice, "_refused", set())
    x = torch.ones(2)
    assert choice.attempt("other", lambda: x) is x
    with pytest.warns(UserWarning, match="does not build some.*no attribute 'tma'"):
        assert choice.attempt("some", lambda: choice.tma) is None
    assert choice.attempt("some", lambda: x) is None

    def no_room():
        raise torch.OutOfMemoryError

    with pytest.raises(torch.OutOfMemoryError):
        choice.attempt("other", no_room)
    assert choice.attempt("other", lambda: x) is x


def test_torch_compile_is_given_the_plain_paths(monkeypatch):
    monkeypatch.setattr(choice, "builds_kernels", lambda device: True)
    on_a_card = SimpleNamespace(is_cuda=True, dtype=torch.float16, device=torch.device("cuda"))
    with torch.no_grad():
        assert choice.fast(on_a_card)
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
        assert not choice.fast(on_a_card)


def test_weights_that_a_host_streams_or_patches_are_left_to_the_layer():
    x, layer = torch.zeros(2, 4), nn.Linear(4, 4)
    assert choice.resident(layer, x)
    assert not choice.resident(layer, x.half()), "the layer casts at use"
    assert not choice.resident(layer, x.to("meta")), "the layer brings its weights at use"
    for name in ("weight_function", "bias_function"):
        patched = nn.Linear(4, 4)
        setattr(patched, name, [])
        assert choice.resident(patched, x)
        setattr(patched, name, [lambda weight: weight])
        assert not choice.resident(patched, x), "a LoRA on its way"


def test_a_layer_that_is_not_resident_is_called():
    """The plain way goes through the layer, which may be a host's."""
    called = []

    class Streamed(nn.Conv2d):
        def forward(self, x):
            called.append("conv")
            return super().forward(x)

    conv, x = Streamed(4, 4, (3, 1), padding=(1, 0)), torch.randn(1, 4, 3, 5)
    y, bias = temporal_conv(x, conv)
    assert bias is None
    assert torch.equal(y, nn.Conv2d.forward(conv, x))
    assert called == ["conv"]
