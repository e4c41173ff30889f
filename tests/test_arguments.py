"""Whatever can be refused before the work is refused before it: every argument of a pipeline call, with bad values."""

from inspect import signature
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from svd_nodes.svd import InputError, StableVideoDiffusionPipeline
from svd_nodes.tools.random_checkpoint import preset_models

NAN, INF = float("nan"), float("inf")
NUMBERS = [NAN, INF, -INF, "7", True, [1.0], 1e39, 1j]
COUNTS = [0, -1, 2.0, 2.5, "2", True, NAN, INF, [2], 1e20]
PICTURE = Image.new("RGB", (64, 48), "teal")
SIZE = {"width": 64, "height": 48, "num_frames": 2, "num_inference_steps": 1}
SHAPE = (1, 2, 4, 6, 8)

BAD: dict[str, list[Any]] = {
    "image": [
        *(None, "a.png", [], [PICTURE, "a.png"], np.zeros((48, 64, 3)), Image.new("RGB", (0, 4)), 5),
        *(torch.zeros(3, 48, 64), torch.zeros(1, 2, 48, 64), torch.zeros(1, 3, 0, 64), torch.full((1, 3, 8, 8), NAN)),
        *(torch.zeros(1, 3, 8, 8, dtype=torch.uint8), torch.full((1, 3, 8, 8), 255.0)),
        *(torch.linspace(-1, 1, 192).view(1, 3, 8, 8), torch.full((1, 3, 8, 8), -0.01)),
    ],
    "height": [33, -8, 48.0, "48", [48], True],
    "width": [33, -8, 64.0, "64", [64], True],
    "num_frames": COUNTS,
    "num_inference_steps": [*COUNTS, None],
    "sigmas": [
        *([], [700.0], [700.0, 0.0, 0.0], [700.0, NAN, 0.0], [1.0, -1.0], [INF, 0.0], "700", 700.0),
        *([[700.0, 1.0]], [None, 0.0], ["a", "b"], [torch.ones(2), torch.ones(2)]),
    ],
    "min_guidance_scale": [*NUMBERS, None],
    "max_guidance_scale": [*NUMBERS, None],
    "fps": [*NUMBERS, None, 0, 0.5, -1],
    "motion_bucket_id": [*NUMBERS, None, -1, 10**400],
    "noise_aug_strength": [*NUMBERS, None, -0.1],
    "decode_chunk_size": COUNTS,
    "num_videos_per_prompt": COUNTS,
    "generator": [5, "seed", [], [None], [torch.Generator(), 5], (torch.Generator(), torch.Generator()), torch],
    "latents": [
        *(torch.zeros(SHAPE[1:]), torch.zeros(1, 3, 4, 6, 8), torch.full(SHAPE, NAN), np.zeros(SHAPE), "noise"),
        *(torch.zeros(SHAPE, dtype=torch.int64), torch.full(SHAPE, INF)),
    ],
    "output_type": ["gif", None, 5, ["pil"], torch.zeros(2)],
    "callback_on_step_end": ["print", 5, []],
    "callback_on_step_end_tensor_inputs": [["noise_pred"], "latents", None, 5, [None]],
}


@pytest.fixture(scope="module")
def pipe():
    models = preset_models("tiny")
    pipe = StableVideoDiffusionPipeline(models.vae, models.clip, models.unet, num_frames=models.frames)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture
def no_work(monkeypatch):
    for name in ("encode_clip", "encode_latent", "sample", "decode"):
        monkeypatch.setattr(f"svd_nodes.svd.pipeline.{name}", lambda *_, **__: pytest.fail("Work was begun."))


def test_every_argument_has_bad_values():
    assert set(BAD) == set(signature(StableVideoDiffusionPipeline.__call__).parameters) - {"self", "return_dict"}


@pytest.mark.parametrize("name", BAD)
def test_bad_values_are_refused_before_any_work(name, pipe, no_work):
    for value in BAD[name]:
        with pytest.raises(InputError) as refused:
            pipe(**{"image": PICTURE, **SIZE, name: value})
        sentence = str(refused.value)
        assert "\n" not in sentence
        assert len(sentence) < 400
        words = {"image": "picture", "height": "size", "width": "size", "generator": "generators"}
        assert name in sentence or words[name] in sentence, (value, sentence)


GOOD: dict[str, list[Any]] = {
    "image": [[PICTURE], (PICTURE,), torch.rand(1, 3, 20, 30), torch.rand(1, 3, 48, 64) - 1e-5, PICTURE.convert("LA")],
    "width": [np.int64(64)],
    "num_frames": [np.int32(2)],
    "fps": [7.0, 23.976, np.float32(12.5), torch.tensor(7)],
    "motion_bucket_id": [127.5, np.float64(80), torch.tensor([90])],
    "decode_chunk_size": [None, np.int64(1), 10**9],
    "generator": [None, torch.Generator(), [torch.Generator()], (torch.Generator(),)],
    "latents": [torch.zeros(SHAPE), torch.zeros(SHAPE, dtype=torch.float16)],
    "sigmas": [(700.0, 1.0, 0.0), np.array([700.0, 0.0]), torch.tensor([700.0, 0.5])],
}


@pytest.mark.parametrize("name", GOOD)
def test_good_values_of_other_types_are_taken(name, pipe):
    for value in GOOD[name]:
        frames = pipe(**{"image": PICTURE, **SIZE, "output_type": "pt", name: value}).frames
        assert frames.shape == (1, 2, 3, 48, 64)
        assert frames.isfinite().all()
