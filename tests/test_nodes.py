"""The eight nodes, run as the standalone host runs them, on tiny random weights."""

import copy
import os
import re
from inspect import signature
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from svd_nodes.headless.core_nodes import CreateVideo
from svd_nodes.nodes import NODES
from svd_nodes.nodes.condition import Condition
from svd_nodes.nodes.host import standalone
from svd_nodes.svd.config import UNetConfig
from svd_nodes.svd.errors import InputError
from svd_nodes.svd.sampler import sample
from svd_nodes.tools.random_checkpoint import PRESETS, preset_models, random_models

CORE_AND_OURS = {node.__name__: node.GET_NODE_INFO_V1() for node in (CreateVideo, Condition)}
BY_ID = {node.GET_SCHEMA().node_id.removeprefix("StableVideo"): node for node in NODES}
SAMPLING = {"frames": 3, "steps": 2, "min_guidance": 1.0, "max_guidance": 3.0, "guidance": "linear", "seed": 5}
SIZE = {"width": 32, "height": 24, "fit": "crop"}


def run(node: str, **inputs: Any) -> Any:
    """One node's outputs: the value, or a tuple where there are several."""
    result = BY_ID[node].execute(**inputs).result
    return result if len(result) > 1 else result[0]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    from svd_nodes.svd.saving import save

    path = tmp_path_factory.mktemp("checkpoints") / "svd_tiny.safetensors"
    save(preset_models("tiny"), path, "single")
    return path


@pytest.fixture(scope="module", autouse=True)
def session(checkpoint):
    """Every test runs as the editor runs nodes: in inference mode."""
    folders = (checkpoint.parent,)
    with standalone.Session(checkpoint_folders=folders, device=torch.device("cpu")).active(), torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def loaded(session):
    return run("LoadCheckpoint", checkpoint="svd_tiny.safetensors", precision="auto")


def pictures(count: int = 1, channels: int = 3) -> Tensor:
    return torch.rand(count, 40, 50, channels, generator=torch.Generator().manual_seed(1))


def conditioning(loaded, image: Tensor, **changes: Any) -> Any:
    _, clip, vae = loaded
    fitted = run("FitImage", image=image, **SIZE)
    numbers = {"noise_aug_strength": 0.02, "seed": 5} | changes
    return run(
        "Condition",
        embedding=run("EncodeClip", clip=clip, image=fitted),
        image_latent=run("EncodeLatent", vae=vae, image=fitted, **numbers),
        fps=7,
        motion_bucket_id=127,
    )


def clip_of(loaded, image: Tensor, chunk: int = 14, **changes: Any) -> tuple[dict, Tensor]:
    """The whole chain: (latent wire, frames)."""
    told = conditioning(loaded, image, seed=changes.get("seed", 5))
    latent = run("Sample", model=loaded[0], conditioning=told, **(SAMPLING | changes))
    return latent, run("Decode", vae=loaded[2], latent=latent, frames_per_chunk=chunk)


def test_a_picture_becomes_frames(loaded):
    latent, frames = clip_of(loaded, pictures())
    assert latent["frames"] == 3
    assert latent["samples"].shape == (3, 4, 3, 4)
    assert frames.shape == (3, 24, 32, 3)
    assert frames.dtype == torch.float32
    assert frames.is_contiguous()
    assert frames.min() >= 0
    assert frames.max() <= 1
    assert frames.std() > 0


def test_a_batch_is_its_single_clips_with_their_own_seeds(loaded):
    image = pictures(2)
    _, both = clip_of(loaded, image, seed=7)
    for i, frames in enumerate(both.split(3)):
        _, single = clip_of(loaded, image[i : i + 1], seed=7 + i)
        torch.testing.assert_close(frames, single, rtol=0, atol=1e-4)


def test_the_last_seed_is_followed_by_the_first(loaded):
    image = pictures(1).repeat(2, 1, 1, 1)
    _, both = clip_of(loaded, image, seed=2**64 - 1)
    _, single = clip_of(loaded, image[1:], seed=0)
    torch.testing.assert_close(both[3:], single, rtol=0, atol=1e-4)


def test_the_same_inputs_give_the_same_bits_and_stay_as_they_were(loaded):
    image, told = pictures(), conditioning(loaded, pictures())
    before = copy.deepcopy((image, told))
    runs = [run("Sample", model=loaded[0], conditioning=told, churn=0.5, **SAMPLING)["samples"] for _ in range(2)]
    assert torch.equal(*runs)
    after = (image, told)
    assert torch.equal(before[0], after[0])
    assert all(torch.equal(getattr(before[1], name), getattr(told, name)) for name in ("context", "concat", "scalars"))


@pytest.mark.parametrize("churn", [float("nan"), -0.5, 1001.0])
def test_churn_that_is_none_is_named_before_the_run(loaded, churn):
    """The editor checks its range, and lets what is no number through."""
    with pytest.raises(InputError, match=r"churn is .*between 0 and 1000"):
        run("Sample", model=loaded[0], conditioning=conditioning(loaded, pictures()), churn=churn, **SAMPLING)


def test_frames_per_second_as_create_video_takes_them(loaded):
    """A widget saved as the whole number 7 tells the same as 7.0, and fractions are told too."""
    told = conditioning(loaded, pictures())
    _, clip, vae = loaded
    image = run("FitImage", image=pictures(), **SIZE)
    parts = {"embedding": run("EncodeClip", clip=clip, image=image)}
    parts["image_latent"] = run("EncodeLatent", vae=vae, image=image, noise_aug_strength=0.02, seed=5)
    whole, film = (run("Condition", **parts, fps=fps, motion_bucket_id=127) for fps in (7.0, 23.976))
    assert torch.equal(told.scalars, whole.scalars)
    assert film.scalars[0, 0].item() == pytest.approx(22.976)
    types = {node: info["input"]["required"]["fps"][0] for node, info in CORE_AND_OURS.items()}
    assert set(types.values()) == {"FLOAT"}, "one primitive can be connected to both"


def test_the_latent_on_the_wire_is_in_the_host_s_scale(loaded, monkeypatch):
    """Core's VAE Decode divides by nothing: the sampler's latent is 0.18215 of what travels."""
    inside = {}

    def spy(*args, **kwargs):
        inside["latent"] = sample(*args, **kwargs)
        return inside["latent"]

    monkeypatch.setattr("svd_nodes.svd.sampler.sample", spy)
    latent, _ = clip_of(loaded, pictures())
    torch.testing.assert_close(latent["samples"] * 0.18215, inside["latent"])


def test_steps_are_karras_unless_sigmas_are_connected(loaded):
    told = conditioning(loaded, pictures())
    karras = run("Sigmas", schedule="karras", steps=2, sigma_max=700.0, sigma_min=0.002, rho=7.0)
    other = run("Sigmas", schedule="align-your-steps", steps=2, sigma_max=700.0, sigma_min=0.002, rho=7.0)
    inputs = {"model": loaded[0], "conditioning": told}
    plain = run("Sample", **inputs, **SAMPLING)["samples"]
    assert torch.equal(plain, run("Sample", sigmas=karras, **inputs, **(SAMPLING | {"steps": 9}))["samples"])
    assert not torch.allclose(plain, run("Sample", sigmas=other, **inputs, **SAMPLING)["samples"])


def test_a_given_latent_is_kept_at_little_noise(loaded):
    told = conditioning(loaded, pictures())
    inputs = {"model": loaded[0], "conditioning": told}
    first = run("Sample", **inputs, **SAMPLING)
    quiet = run("Sigmas", schedule="karras", steps=1, sigma_max=0.01, sigma_min=0.002, rho=7.0)
    kept = run("Sample", sigmas=quiet, latent=first, **inputs, **SAMPLING)["samples"]
    assert (kept - first["samples"]).abs().max() < 0.05 * first["samples"].abs().max()


def test_one_frame_one_step(loaded):
    _, frames = clip_of(loaded, pictures(), frames=1, steps=1)
    assert frames.shape == (1, 24, 32, 3)


def test_a_chunk_may_be_longer_than_the_clip(loaded):
    latent, whole = clip_of(loaded, pictures(), chunk=1024)
    assert torch.equal(whole, run("Decode", vae=loaded[2], latent=latent, frames_per_chunk=3))
    assert not torch.equal(whole, run("Decode", vae=loaded[2], latent=latent, frames_per_chunk=1))


def test_a_latent_without_a_frame_count_is_one_clip(loaded):
    latent, frames = clip_of(loaded, pictures())
    assert torch.equal(frames, run("Decode", vae=loaded[2], latent={"samples": latent["samples"]}, frames_per_chunk=14))


@pytest.mark.parametrize("channels", [1, 4])
def test_grey_and_transparent_pictures(loaded, channels):
    image = pictures(channels=channels)
    fitted = run("FitImage", image=image, **SIZE)
    assert fitted.shape == (1, 24, 32, 3)
    _, clip, vae = loaded
    same = torch.rand(1, 24, 32, channels)
    assert run("EncodeClip", clip=clip, image=same).shape == (1, 1, 32)
    assert run("EncodeLatent", vae=vae, image=same, noise_aug_strength=0.0, seed=0).latent.shape == (1, 4, 3, 4)


def test_transparency_is_put_on_white():
    clear = torch.zeros(1, 24, 32, 4)
    assert torch.equal(run("FitImage", image=clear, **SIZE), torch.ones(1, 24, 32, 3))


def test_a_one_pixel_picture_is_enlarged():
    assert run("FitImage", image=torch.rand(1, 1, 1, 3), **SIZE).shape == (1, 24, 32, 3)


def test_progress_counts_steps_and_frames(loaded, checkpoint):
    seen = []
    told = conditioning(loaded, pictures())
    report = lambda step, total, denoised: seen.append((step, total, denoised is not None))  # noqa: E731
    with standalone.Session(device=torch.device("cpu"), on_progress=report).active():
        latent = run("Sample", model=loaded[0], conditioning=told, **SAMPLING)
        run("Decode", vae=loaded[2], latent=latent, frames_per_chunk=2)
    assert seen == [(1, 2, True), (2, 2, True), (2, 3, False), (3, 3, False)]


def test_cancelling_stops_the_sampler_and_leaves_the_model_usable(loaded):
    told = conditioning(loaded, pictures())
    inputs = {"model": loaded[0], "conditioning": told, **SAMPLING}
    before = run("Sample", **inputs)["samples"]

    def cancel(*_):
        raise KeyboardInterrupt

    with standalone.Session(device=torch.device("cpu"), on_progress=cancel).active(), pytest.raises(KeyboardInterrupt):
        run("Sample", **inputs)
    assert torch.equal(before, run("Sample", **inputs)["samples"])


def test_a_replaced_checkpoint_is_noticed(checkpoint):
    loader = BY_ID["LoadCheckpoint"]
    before = loader.fingerprint_inputs(checkpoint.name, "auto")
    assert before == loader.fingerprint_inputs(checkpoint.name, "auto")
    os.utime(checkpoint, (1, 1))
    after = loader.fingerprint_inputs(checkpoint.name, "auto")
    assert before != after
    assert re.fullmatch("[0-9a-f]{64}", after)  # the editor writes it into films: no place on the disk


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_half_precision_keeps_the_encoder_and_the_state_in_fp32(checkpoint, precision):
    model, _, vae = run("LoadCheckpoint", checkpoint=checkpoint.name, precision=precision)
    assert model.module.dtype.itemsize == 2
    assert vae.module.dtype.itemsize == 2
    assert vae.module.encoder.conv_in.weight.dtype == torch.float32


SCHEDULE = {"schedule": "karras", "steps": 25, "sigma_max": 700.0, "sigma_min": 0.002, "rho": 7.0}
BAD_WIDGETS = [
    ("LoadCheckpoint", {"checkpoint": "missing.safetensors"}, "no checkpoint called"),
    ("LoadCheckpoint", {"checkpoint": 5}, "checkpoint is 5: it must be a text"),
    ("FitImage", {"width": 500, "height": 24}, "500 x 24 does not divide by 8: use 496 x 24"),
    ("FitImage", {"width": 0, "height": 24}, "width is 0: it must be between 8 and 8192"),
    ("EncodeLatent", {"noise_aug_strength": -1.0}, "noise_aug_strength is -1: it must be between"),
    ("EncodeLatent", {"noise_aug_strength": float("nan")}, "noise_aug_strength is nan"),
    ("Sigmas", {"schedule": "karras", "sigma_max": 1.0, "sigma_min": 2.0}, r"sigma_min 2.0 is above sigma_max 1.0"),
    ("Sigmas", {"schedule": "karras", "sigma_max": 1.0, "sigma_min": 0.0}, "both must be above 0"),
    ("Sigmas", {**SCHEDULE, "rho": 0.1}, "25 steps from sigma_max 700 to sigma_min 0.002 do not all differ"),
    ("Sigmas", {**SCHEDULE, "sigma_min": 5.0, "sigma_max": 5.0}, "further apart, or rho nearer 7"),
    ("Sigmas", {**SCHEDULE, "schedule": "align-your-steps", "sigma_min": 5.0, "sigma_max": 5.0}, "further apart."),
    ("Sigmas", {**SCHEDULE, "rho": 0.0}, "rho is 0: it must be between 0.1 and 100"),
    ("Sigmas", {**SCHEDULE, "steps": 0}, "steps is 0: it must be between 1 and 1000"),
    ("Sigmas", {**SCHEDULE, "sigma_max": 1e300, "rho": 0.1}, "sigma_max is 1e+300: it must be between"),
    ("Sigmas", {"schedule": "linear", "sigma_max": 1.0, "sigma_min": 0.1}, "schedule is 'linear'"),
    ("Sample", {"min_guidance": -1.0, "max_guidance": 1.0, "guidance": "linear"}, "min_guidance is -1: it must be"),
    ("Sample", {"min_guidance": 1.0, "max_guidance": 3.0, "guidance": "cosine"}, "guidance is 'cosine'"),
    ("Sample", {"min_guidance": 1.0, "max_guidance": float("inf"), "guidance": "linear"}, "max_guidance is inf"),
    ("Decode", {"frames_per_chunk": 0}, "frames_per_chunk is 0: it must be between 1 and 1024"),
]


@pytest.mark.parametrize(("node", "widgets", "sentence"), BAD_WIDGETS)
def test_bad_widgets_are_refused_before_the_run(node, widgets, sentence):
    problem = standalone.problem(BY_ID[node], widgets)
    assert problem is not None
    assert sentence in problem
    assert problem.endswith(".")


@pytest.mark.parametrize(("node", "widgets", "sentence"), BAD_WIDGETS)
def test_the_same_values_over_a_link_are_refused_in_the_run(node, widgets, sentence, loaded):
    assert standalone.problem(BY_ID[node], dict.fromkeys(widgets)) is None
    model, _, vae = loaded
    rest = {
        "LoadCheckpoint": {"precision": "auto"},
        "FitImage": {"image": pictures(), "fit": "crop"},
        "EncodeLatent": {"vae": vae, "image": pictures(), "seed": 0},
        "Sigmas": {"steps": 2, "rho": 7.0},
        "Sample": {"model": model, "conditioning": None, "frames": 2, "steps": 2, "seed": 0},
        "Decode": {"vae": vae, "latent": None},
    }[node]
    with pytest.raises(InputError) as refused:
        run(node, **(rest | widgets))
    assert sentence in str(refused.value)


CHOICES = [  # not named before the run, where the editor repeats a sentence for each input named
    ("LoadCheckpoint", {"checkpoint": "svd_tiny.safetensors"}, "precision", "fp8", "choose one of auto, fp16, bf16"),
    ("FitImage", {"width": 32, "height": 24, "image": None}, "fit", "zoom", "choose one of crop, pad, stretch"),
]


@pytest.mark.parametrize(("node", "rest", "name", "value", "sentence"), CHOICES)
def test_choices_are_checked_in_the_run(node, rest, name, value, sentence):
    assert name not in signature(BY_ID[node].validate_inputs).parameters
    with pytest.raises(InputError, match=f"{name} is '{value}': {sentence}"):
        run(node, **rest, **{name: value})
    with pytest.raises(InputError, match=f"{name} has no value: set it."):
        run(node, **rest, **{name: None})


@pytest.mark.parametrize("missing", SCHEDULE)
def test_no_value_at_all_is_refused_in_the_run(missing):
    with pytest.raises(InputError, match=f"{missing} has no value: set it."):
        run("Sigmas", **(SCHEDULE | {missing: None}))


def test_one_step_may_start_and_end_at_the_same_noise():
    widgets = SCHEDULE | {"steps": 1, "sigma_max": 5.0, "sigma_min": 5.0}
    assert standalone.problem(BY_ID["Sigmas"], widgets) is None
    assert run("Sigmas", **widgets).tolist() == [5.0, 0.0]


@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        (torch.full((1, 24, 32, 3), float("nan")), "NaN or infinite"),
        (torch.rand(1, 24, 32, 2), "1, 3 or 4 channels"),
        (torch.rand(24, 32, 3), "1, 3 or 4 channels"),
        (torch.rand(1, 0, 32, 3), "no pixels"),
        (torch.rand(0, 24, 32, 3), "no pixels"),
    ],
)
def test_unusable_pictures(loaded, image, sentence):
    _, clip, vae = loaded
    for node, inputs in (
        ("FitImage", SIZE),
        ("EncodeClip", {"clip": clip}),
        ("EncodeLatent", {"vae": vae, "noise_aug_strength": 0.02, "seed": 0}),
    ):
        with pytest.raises(InputError, match=sentence):
            run(node, image=image, **inputs)


def test_a_picture_of_an_unfit_size_is_sent_to_fit_image(loaded):
    with pytest.raises(InputError, match="30 x 24 does not divide by 8: use 32 x 24"):
        run("EncodeLatent", vae=loaded[2], image=torch.rand(1, 24, 30, 3), noise_aug_strength=0.02, seed=0)


def test_encodings_of_different_pictures_do_not_mix(loaded):
    _, clip, vae = loaded
    one, two = torch.rand(1, 24, 32, 3), torch.rand(2, 24, 32, 3)
    latent = run("EncodeLatent", vae=vae, image=two, noise_aug_strength=0.02, seed=0)
    with pytest.raises(InputError, match="1 CLIP embeddings but 2 latents"):
        run(
            "Condition",
            embedding=run("EncodeClip", clip=clip, image=one),
            image_latent=latent,
            fps=7,
            motion_bucket_id=127,
        )


def test_conditioning_of_another_checkpoint(loaded):
    told = conditioning(loaded, pictures())
    wide = copy.copy(told)
    object.__setattr__(wide, "context", torch.zeros(1, 1, 48))
    with pytest.raises(InputError, match="model, clip and vae of the same checkpoint"):
        run("Sample", model=loaded[0], conditioning=wide, **SAMPLING)


@pytest.mark.parametrize(
    ("sigmas", "sentence"),
    [
        (torch.tensor([700.0]), "no step"),
        (torch.tensor([]), "no step"),
        (torch.ones(2, 3), "no step"),
        (torch.tensor([1.0, 2.0, 0.0]), "must fall"),
        (torch.tensor([1.0, 0.0, 0.0]), "must fall"),
        (torch.tensor([1.0, float("nan"), 0.0]), "must fall"),
        (torch.tensor([1.0, 0.0, -1.0]), "must fall"),
    ],
)
def test_unusable_sigmas(loaded, sigmas, sentence):
    told = conditioning(loaded, pictures())
    with pytest.raises(InputError, match=sentence):
        run("Sample", model=loaded[0], conditioning=told, sigmas=sigmas, **SAMPLING)


@pytest.mark.parametrize(
    ("latent", "sentence"),
    [
        ({"samples": torch.zeros(2, 4, 3, 4), "frames": 2}, "holds 1 x 2 frames of 4 x 3 and the sampler makes 1 x 3"),
        ({"samples": torch.zeros(3, 4, 3, 5), "frames": 3}, "frames of 5 x 3 and the sampler makes 1 x 3 of 4 x 3"),
        ({"samples": torch.zeros(3, 4, 3, 4), "frames": 1}, "holds 3 x 1 frames"),
        ({"samples": torch.zeros(3, 4, 3, 4), "frames": 2}, "does not make whole clips of 2"),
        ({"samples": torch.zeros(3, 16, 3, 4)}, "4 channels"),
        ({"samples": torch.zeros(1, 4, 3, 3, 4)}, "4 channels"),
        ({"samples": torch.zeros(0, 4, 3, 4)}, "0 frames"),
        ({"samples": torch.full((3, 4, 3, 4), float("nan"))}, "NaN"),
    ],
)
def test_unusable_latents(loaded, latent, sentence):
    told = conditioning(loaded, pictures())
    with pytest.raises(InputError, match=sentence):
        run("Sample", model=loaded[0], conditioning=told, latent=latent, **SAMPLING)


def test_sv3d_in_the_loader_s_place(checkpoint, tmp_path):
    from svd_nodes.svd.saving import save

    config = PRESETS["tiny"]
    turntable = UNetConfig.from_json(
        config.unet.to_json() | {"projection_class_embeddings_input_dim": 256, "addition_time_embed_dim": 256}
    )
    save(random_models(turntable, config.vae, config.clip), tmp_path / "sv3d_u.safetensors", "single")
    with pytest.raises(
        InputError, match=r"sv3d_u.safetensors is SV3D-U, which turns a camera.*choose an SVD checkpoint"
    ):
        run("LoadCheckpoint", checkpoint=str(tmp_path / "sv3d_u.safetensors"), precision="auto")


def test_every_weight_can_be_streamed():
    """The editor's memory manager moves only layers built with `ops` one by one; mix factors move at their use."""

    def marked(layer: type) -> type:
        return type(layer.__name__, (layer,), {"streamed": True})

    layers = SimpleNamespace(
        **{name: marked(getattr(torch.nn, name)) for name in ("Linear", "Conv2d", "GroupNorm", "LayerNorm")}
    )
    models = preset_models("tiny", ops=layers)
    for network in (models.unet, models.vae):
        for name, module in network.named_modules():
            own = {name for name, _ in module.named_parameters(recurse=False)}
            assert own <= {"mix_factor"} or hasattr(module, "streamed"), name


@pytest.mark.parametrize("node", NODES, ids=lambda node: node.__name__)
def test_a_fingerprint_takes_every_input_of_its_node(node):
    """The editor gives it all inputs; where it cannot take one, nothing is ever taken from the cache."""
    inputs = {i.id: None for i in node.define_schema().inputs}
    node.fingerprint_inputs(**inputs)
