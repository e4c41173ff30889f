"""Whatever the program around has set in torch, the pipeline, the nodes and the command make the same bits."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tiny_files
import torch
from PIL import Image
from torch import Tensor

from svd_nodes.headless.generate import make, plan
from svd_nodes.headless.request import Request
from svd_nodes.nodes.extension import Condition, Decode, EncodeClip, EncodeLatent, FitImage, LoadCheckpoint, Sample
from svd_nodes.nodes.host import standalone
from svd_nodes.svd import StableVideoDiffusionPipeline, clip_generators, draw_noise
from svd_nodes.svd.noise import batch_noise


@contextmanager
def switched(switch: Callable[[Any], object], value: Any, before: Any) -> Iterator[None]:
    switch(value)
    try:
        yield
    finally:
        switch(before)


def default_dtype(dtype: torch.dtype) -> AbstractContextManager[None]:
    return switched(torch.set_default_dtype, dtype, torch.float32)


SURROUNDINGS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "float64 is the default": lambda: default_dtype(torch.float64),
    "bfloat16 is the default": lambda: default_dtype(torch.bfloat16),
    "another device is the default": lambda: switched(torch.set_default_device, "meta", None),
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "inference mode": torch.inference_mode,
    "gradients": torch.enable_grad,
    "anomalies are looked for": lambda: torch.autograd.set_detect_anomaly(True),
    "deterministic algorithms": lambda: switched(torch.use_deterministic_algorithms, True, False),
    "another seed": lambda: switched(torch.manual_seed, 12345, 0),
    "NumPy's errors raise": lambda: np.errstate(all="raise"),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    tiny_files.checkpoint(folder)
    tiny_files.picture(folder / "picture.png")
    return folder


def by_pipeline(files: Path, out: Path) -> Tensor:
    pipe = StableVideoDiffusionPipeline.from_pretrained(files / "tiny.safetensors")
    pipe.set_progress_bar_config(disable=True)
    size = {"width": 32, "height": 24, "num_frames": 3, "num_inference_steps": 2, "decode_chunk_size": 2}
    picture, seeded = Image.open(files / "picture.png"), torch.Generator().manual_seed(3)
    return pipe(picture, generator=seeded, output_type="pt", **size).frames


def by_nodes(files: Path, out: Path) -> Tensor:
    model, clip, vae = LoadCheckpoint.execute(str(files / "tiny.safetensors"), "fp32").args
    pixels = np.asarray(Image.open(files / "picture.png"), np.float32) / 255
    image = FitImage.execute(torch.from_numpy(pixels)[None], 32, 24, "crop")[0]
    told = EncodeClip.execute(clip, image)[0], EncodeLatent.execute(vae, image, 0.02, 3)[0]
    latent = Sample.execute(model, Condition.execute(*told, 7, 127)[0], 3, 2, 1.0, 3.0, "linear", 3, churn=1.0)[0]
    return Decode.execute(vae, latent, 2)[0]


def nothing(*_: Any) -> None:
    pass


def by_command(files: Path, out: Path) -> Tensor:
    settings = {"width": 32, "height": 24, "frames": 3, "steps": 2, "seed": 3, "device": "cpu", "decode_chunk": 2}
    request = Request((files / "picture.png",), out, checkpoint=str(files / "tiny.safetensors"), **settings)
    make(plan(request), SimpleNamespace(started=nothing, stepped=nothing, finished=nothing), nothing)
    return torch.stack([torch.from_numpy(np.array(Image.open(path))) for path in sorted(out.glob("*.png"))])


CHAINS = {"pipeline": by_pipeline, "nodes": by_nodes, "command": by_command}


@pytest.fixture(scope="module")
def expected(files, tmp_path_factory) -> dict[str, Tensor]:
    out = tmp_path_factory.mktemp("expected")
    with standalone.Session(device=torch.device("cpu")).active():
        return {name: chain(files, out / name) for name, chain in CHAINS.items()}


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("name", SURROUNDINGS)
def test_the_same_bits(name, chain, files, expected, tmp_path):
    with standalone.Session(device=torch.device("cpu")).active(), SURROUNDINGS[name]():
        found = CHAINS[chain](files, tmp_path / "out")
        assert found.dtype == expected[chain].dtype
        equal = torch.equal(found, expected[chain])
    assert equal
    assert expected[chain].float().std() > 0.01, "flat frames would be equal to anything"


@pytest.mark.parametrize("name", SURROUNDINGS)
def test_noise_is_fp32_on_the_generator_s_device(name):
    expected = torch.randn(3, 4, 2, 2, generator=torch.Generator().manual_seed(41))
    with SURROUNDINGS[name]():
        for noise in (
            draw_noise(clip_generators(41, 1), 3, 4, 2, 2),
            batch_noise((3, 4, 2, 2), clip_generators(41, 1)),
            batch_noise((1, 3, 4, 2, 2), clip_generators(41, 2))[0],
        ):
            assert (noise.dtype, noise.device.type) == (torch.float32, "cpu")
            assert torch.equal(noise, expected)


def test_seeded_draws_leave_torch_s_own_generator_alone(files, tmp_path):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    with standalone.Session(device=torch.device("cpu")).active():
        for name, chain in CHAINS.items():
            chain(files, tmp_path / name)
            assert torch.equal(torch.get_rng_state(), before), name
