"""The drop-in pipeline against diffusers' own, on the same folder of random weights."""

import json
import pickle
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from oracle import CLIP_CONFIG, clip, diffusers_unet, diffusers_vae, relative, unet_config
from PIL import Image
from torch import nn

from svd_nodes.svd import InputError, StableVideoDiffusionPipeline, save
from svd_nodes.svd.config import VAEConfig
from svd_nodes.svd.placement import Placement
from svd_nodes.tools.random_checkpoint import PRESETS, random_models

SIZE = {"height": 32, "width": 48, "num_frames": 3, "num_inference_steps": 3, "decode_chunk_size": 3}
SCHEDULER = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "interpolation_type": "linear",
    "num_train_timesteps": 1000,
    "prediction_type": "v_prediction",
    "sigma_max": 700.0,
    "sigma_min": 0.002,
    "steps_offset": 1,
    "timestep_spacing": "leading",
    "timestep_type": "continuous",
    "use_karras_sigmas": True,
}


def picture(seed: int, size: tuple[int, int] = (90, 60)) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)


def generators(count: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(100 + i) for i in range(count)]


def repaired_pipeline(original_epsilon: bool = True):
    """diffusers' pipeline, tiny, with one repair. It repeats the pictures' latents for `num_videos_per_prompt` as
    picture 0, 1, 0, 1 but their embeddings as 0, 0, 1, 1, so that with several pictures and several videos of each,
    clips are told of two pictures at once."""
    import diffusers
    from transformers import CLIPImageProcessor

    class Repaired(diffusers.StableVideoDiffusionPipeline):
        def _encode_vae_image(self, image, device, num_videos_per_prompt, do_classifier_free_guidance):
            latents = super()._encode_vae_image(image, device, 1, do_classifier_free_guidance)
            halves = latents.chunk(2) if do_classifier_free_guidance else [latents]
            return torch.cat([half.repeat_interleave(num_videos_per_prompt, dim=0) for half in halves])

    pipe = Repaired(
        unet=diffusers_unet(unet_config(num_frames=3, sample_size=16), original_epsilon=original_epsilon),
        vae=diffusers_vae(VAEConfig(block_out_channels=(32, 64), layers_per_block=2)),
        image_encoder=clip(CLIP_CONFIG),
        scheduler=diffusers.EulerDiscreteScheduler(**SCHEDULER),
        feature_extractor=CLIPImageProcessor(size=224, crop_size=224),
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture(scope="module")
def theirs():
    return repaired_pipeline()


@pytest.fixture(scope="module")
def folder(theirs, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "svd"
    theirs.save_pretrained(path)
    return path


@pytest.fixture
def ours(folder):
    pipe = StableVideoDiffusionPipeline.from_pretrained(folder)
    pipe.set_progress_bar_config(disable=True)
    return pipe


CALLS = {
    "one picture": (1, {}),
    "no guidance": (1, {"max_guidance_scale": 1.0}),
    "strong, quick, noisy": (
        1,
        {"max_guidance_scale": 4.5, "fps": 12, "motion_bucket_id": 200, "noise_aug_strength": 0.3},
    ),
    "a batch of two, two videos of each": (2, {"num_videos_per_prompt": 2}),
    "a tall clip": (1, {"height": 56, "width": 24}),
    "chunks": (1, {"decode_chunk_size": 2}),
    "one step": (1, {"num_inference_steps": 1}),
    "own sigmas": (1, {"sigmas": [500.0, 20.0, 1.0, 0.05, 0.0]}),
    "another number of frames": (1, {"num_frames": 5, "decode_chunk_size": 5}),
    "guidance that falls": (1, {"min_guidance_scale": 4.0, "max_guidance_scale": 1.5}),
    "guidance below one": (1, {"min_guidance_scale": 0.2, "max_guidance_scale": 0.9}),
    "film's frames per second": (1, {"fps": 23.976}),
}


@pytest.mark.parametrize("name", CALLS)
def test_frames_equal_diffusers(name, theirs, ours):
    count, changes = CALLS[name]
    pictures = [picture(i) for i in range(count)]
    arguments = {**SIZE, "output_type": "np", **changes}
    clips = count * changes.get("num_videos_per_prompt", 1)
    expected = theirs(pictures, generator=generators(clips), **arguments).frames
    result = ours(pictures, generator=generators(clips), **arguments).frames
    assert result.shape == expected.shape
    assert result.dtype == expected.dtype
    assert np.abs(result - expected).max() <= 1e-4
    assert result.std() > 0.05, "flat frames would agree with anything"


def test_one_generator_for_a_whole_batch(theirs, ours):
    pictures, arguments = [picture(0), picture(1)], {**SIZE, "output_type": "np"}
    expected = theirs(pictures, generator=torch.manual_seed(3), **arguments).frames
    assert np.abs(ours(pictures, generator=torch.manual_seed(3), **arguments).frames - expected).max() <= 1e-4


@pytest.mark.parametrize("output_type", ["pil", "np", "pt", "latent"])
def test_output_types_are_diffusers(output_type, theirs, ours):
    pictures, arguments = [picture(0), picture(1)], {**SIZE, "output_type": output_type}
    expected = theirs(pictures, generator=generators(2), **arguments).frames
    result = ours(pictures, generator=generators(2), **arguments).frames
    assert type(result) is type(expected)
    if output_type == "pil":
        assert [[frame.size for frame in clip] for clip in result] == [[(48, 32)] * 3] * 2
        expected, result = (np.array([[np.asarray(f) for f in clip] for clip in x], int) for x in (expected, result))
        assert np.abs(result - expected).max() <= 1
    elif output_type == "latent":
        assert result.shape == expected.shape == (2, 3, 4, 16, 24)
        assert relative(result, expected) <= 1e-5
    else:
        assert tuple(result.shape) == tuple(expected.shape)
        assert np.abs(np.asarray(result) - np.asarray(expected)).max() <= 1e-4


@pytest.mark.slow
def test_a_tensor_picture(theirs, ours):
    """diffusers takes a tensor as CLIP's 224 x 224 input; at that size and the clip's, the two must agree."""
    image = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    arguments = {**SIZE, "height": 224, "width": 224, "num_frames": 2, "num_inference_steps": 1, "output_type": "np"}
    expected = theirs(image, generator=torch.manual_seed(0), **arguments).frames
    assert np.abs(ours(image, generator=torch.manual_seed(0), **arguments).frames - expected).max() <= 1e-3


def test_latents_in_and_a_tuple_out(theirs, ours):
    latents = torch.randn(1, 3, 4, 16, 24, generator=torch.Generator().manual_seed(0))
    arguments = {**SIZE, "latents": latents, "output_type": "np", "return_dict": False}
    expected = theirs(picture(0), generator=torch.manual_seed(1), **arguments)
    assert np.abs(ours(picture(0), generator=torch.manual_seed(1), **arguments) - expected).max() <= 1e-4


def test_the_callback_sees_and_may_replace_the_latents(theirs, ours):
    def run(pipe):
        seen = []

        def on_step_end(pipe, step, timestep, tensors):
            seen.append((step, float(timestep), sorted(tensors)))
            return {"latents": tensors["latents"] * 0.5} if step == 0 else tensors

        arguments = {**SIZE, "output_type": "latent", "generator": torch.manual_seed(1)}
        return seen, pipe(picture(0), callback_on_step_end=on_step_end, **arguments).frames

    (expected_calls, expected), (calls, result) = run(theirs), run(ours)
    assert [call[0] for call in calls] == [0, 1, 2]
    assert calls == [(i, pytest.approx(t, rel=1e-5), names) for i, t, names in expected_calls]
    assert relative(result, expected) <= 1e-5


GUIDANCE = {
    "a number": lambda pipe, step: 1.5 + step,
    "what it was, stronger": lambda pipe, step: pipe.guidance_scale * 1.5,
    "of every frame": lambda pipe, step: torch.tensor([1.0, 4.0, 2.0]).view(1, 3, 1, 1, 1),
    "at the last step alone": lambda pipe, step: 3.5 if step == 1 else pipe._guidance_scale,
}


@pytest.mark.parametrize("name", GUIDANCE)
def test_guidance_set_in_a_callback_is_heeded_at_every_step(name, theirs, ours):
    def on_step_end(pipe, step, timestep, tensors):
        pipe._guidance_scale = GUIDANCE[name](pipe, step)
        return tensors

    arguments = {**SIZE, "max_guidance_scale": 6.0, "output_type": "latent"}
    runs = [
        pipe(picture(0), generator=torch.manual_seed(1), callback_on_step_end=callback, **arguments).frames
        for pipe, callback in ((theirs, on_step_end), (ours, on_step_end), (ours, None))
    ]
    assert relative(runs[1], runs[0]) <= 1e-5
    assert relative(runs[2], runs[0]) > 1e-4


def test_guidance_may_begin_and_end_between_the_steps(ours):
    """Which diffusers, having encoded the picture once or twice before, cannot."""
    seen, guided = [], []
    ours.unet.register_forward_pre_hook(lambda module, given: seen.append(len(given[0])))

    def on_step_end(pipe, step, timestep, tensors):
        pipe._guidance_scale = torch.tensor([1.0, 2.0, 3.0]) if step == 0 else 0.5
        guided.append(pipe.do_classifier_free_guidance)

    ours(picture(0), callback_on_step_end=on_step_end, max_guidance_scale=1.0, **SIZE)
    assert (seen, guided) == ([3, 6, 3], [True, False, False])


@pytest.mark.parametrize("scale", [float("nan"), torch.ones(7), torch.ones(2, 3)])
def test_guidance_that_does_not_fit_the_clip(ours, scale):
    with pytest.raises(InputError, match="guidance scale"):
        ours(picture(0), callback_on_step_end=lambda pipe, *_: setattr(pipe, "_guidance_scale", scale), **SIZE)


def test_the_output_is_used_as_diffusers_output_is(theirs, ours):
    arguments = {**SIZE, "output_type": "np", "num_inference_steps": 1}
    expected, output = (pipe(picture(0), generator=torch.manual_seed(1), **arguments) for pipe in (theirs, ours))
    assert type(output).__name__ == type(expected).__name__
    uses = (lambda o: o["frames"], lambda o: o[0], lambda o: o.frames, lambda o: o.to_tuple()[0], lambda o: o[:1][0])
    for use in (*uses, lambda o: dict(**o)["frames"], lambda o: o.get("frames"), lambda o: next(iter(o.values()))):
        assert np.abs(use(output) - use(expected)).max() <= 1e-4
    assert list(output) == list(expected) == list(output.keys()) == ["frames"]
    assert pickle.loads(pickle.dumps(output)).frames.shape == output.frames.shape
    with pytest.raises(KeyError):
        output["videos"]


def test_defaults_come_from_the_model(ours):
    frames = ours(picture(0), height=None, width=None, num_inference_steps=1, generator=torch.manual_seed(0)).frames
    assert [frame.size for frame in frames[0]] == [(32, 32)] * 3  # sample_size 16, and 2 pixels a latent cell


def test_the_callback_gets_what_it_asks_for(ours):
    seen = []
    ours(
        picture(0),
        callback_on_step_end=lambda pipe, step, timestep, tensors: seen.append(tensors),
        callback_on_step_end_tensor_inputs=[],
        **SIZE,
    )
    assert seen == [{}, {}, {}]


def test_moving_keeps_the_encoder_in_fp32(ours):
    ours.to("cpu", torch.float16)
    assert ours.unet.dtype == ours.vae.dtype == next(ours.image_encoder.parameters()).dtype == torch.float16
    assert {p.dtype for part in (ours.vae.encoder, ours.vae.quant_conv) for p in part.parameters()} == {torch.float32}
    assert ours.to(dtype=torch.float32).unet.dtype == torch.float32


def test_saving_and_sharing_parts(ours, tmp_path):
    ours.save_pretrained(tmp_path / "saved", safe_serialization=True)
    again = StableVideoDiffusionPipeline.from_pretrained(tmp_path / "saved")
    shared = StableVideoDiffusionPipeline(**ours.components)
    arguments = {**SIZE, "output_type": "np"}
    frames = [pipe(picture(0), generator=torch.manual_seed(0), **arguments)[0] for pipe in (ours, again, shared)]
    assert np.array_equal(frames[0], frames[1])
    assert np.array_equal(frames[0], frames[2])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("cuda:99",), "There is no device 'cuda:99' here"),
        ((99,), "There is no device 'cuda:99' here"),
        ((99, "cuda"), "There is no device 'cuda' here"),
        ((1, "cuda:0"), "gpu_id is 1 and device 'cuda:0': give one of the two"),
        (("no such thing",), "There is no device 'no such thing' here"),
    ],
)
def test_offloading_to_a_device_that_is_not_there(ours, arguments, words):
    for enable in (ours.enable_model_cpu_offload, ours.enable_sequential_cpu_offload):
        with pytest.raises(InputError, match=words):
            enable(*arguments)
    assert ours(picture(0), num_inference_steps=1, **{k: v for k, v in SIZE.items() if k != "num_inference_steps"})


@pytest.mark.parametrize("device_map", ["cpu", torch.device("cpu"), {"": "cpu"}, None])
def test_a_device_map_of_one_device_is_heeded(folder, device_map):
    pipe = StableVideoDiffusionPipeline.from_pretrained(folder, device_map=device_map)
    assert pipe.device == pipe.unet.device == pipe.vae.device == torch.device("cpu")


@pytest.mark.parametrize(
    ("device_map", "words"),
    [
        ("balanced", "not spread over devices"),
        ("auto", "not spread over devices"),
        ({"unet": 0, "vae": 1}, "not spread over devices"),
        ("no such thing", "There is no device 'no such thing' here"),
        ({"": "cuda:99"}, "There is no device 'cuda:99' here"),
        (5.5, "There is no device '5.5' here"),
    ],
)
def test_other_device_maps_are_refused_before_loading(folder, monkeypatch, device_map, words):
    monkeypatch.setattr("svd_nodes.svd.checkpoint.load", lambda *_, **__: pytest.fail("It was loaded."))
    with pytest.raises(InputError, match=words):
        StableVideoDiffusionPipeline.from_pretrained(folder, device_map=device_map)


def test_precision_by_either_name(folder):
    for arguments in ({"dtype": torch.float16}, {"torch_dtype": torch.float16, "dtype": torch.float16}):
        assert StableVideoDiffusionPipeline.from_pretrained(folder, **arguments).dtype == torch.float16
    with pytest.raises(InputError, match="give one of the two"):
        StableVideoDiffusionPipeline.from_pretrained(folder, dtype=torch.float16, torch_dtype=torch.bfloat16)
    for wrong in ("auto", torch.int8, torch.complex64, torch.float8_e4m3fn):
        with pytest.raises(InputError, match=f"dtype is {wrong!r}"):
            StableVideoDiffusionPipeline.from_pretrained(folder, dtype=wrong)


def test_a_part_can_be_given_and_an_unknown_option_is_refused(folder, ours):
    assert StableVideoDiffusionPipeline.from_pretrained(folder, unet=ours.unet, use_safetensors=True).unet is ours.unet
    with pytest.raises(InputError, match="no option torch_dtyp"):
        StableVideoDiffusionPipeline.from_pretrained(folder, torch_dtyp=torch.float16)
    with pytest.raises(InputError, match="torch_dtype is 'float16'"):
        StableVideoDiffusionPipeline.from_pretrained(folder, torch_dtype="float16")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("scheduler/scheduler_config.json", "{", "cannot be read as JSON"),
        ("scheduler/scheduler_config.json", "[]", "not a JSON object"),
        ("scheduler/scheduler_config.json", '{"sigma_min": "low"}', "must be numbers"),
        ("scheduler/scheduler_config.json", '{"sigma_min": 800}', "above sigma_max"),
        ("feature_extractor/preprocessor_config.json", '{"image_mean": [0.5]}', "three numbers"),
        ("feature_extractor/preprocessor_config.json", '{"image_std": 1}', "three numbers"),
    ],
)
def test_damaged_small_configs(folder, tmp_path, name, content, words):
    shutil.copytree(folder, tmp_path / "model")
    (tmp_path / "model" / name).write_text(content)
    with pytest.raises(InputError, match=words):
        StableVideoDiffusionPipeline.from_pretrained(tmp_path / "model")


def test_the_same_seed_twice_is_bit_equal_and_leaves_no_trace(ours):
    weights = {name: p.clone() for name, p in ours.unet.state_dict().items()}
    image = picture(0)
    runs = [ours(image, generator=torch.manual_seed(5), output_type="np", **SIZE).frames for _ in range(2)]
    assert np.array_equal(*runs)
    assert image.tobytes() == picture(0).tobytes()
    assert all(torch.equal(p, weights[name]) for name, p in ours.unet.state_dict().items())


def test_generators_in_a_tuple(ours):
    arguments = {**SIZE, "output_type": "np"}
    frames = [
        ours([picture(0), picture(1)], generator=g, **arguments).frames for g in (generators(2), (*generators(2),))
    ]
    assert np.array_equal(*frames)


def test_pictures_of_different_sizes_in_one_call(ours):
    both = ours([picture(0), picture(1, (50, 120))], generator=generators(2), output_type="np", **SIZE).frames
    alone = ours(picture(1, (50, 120)), generator=generators(2)[1:], output_type="np", **SIZE).frames
    assert np.abs(both[1] - alone[0]).max() <= 1e-4


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_close_and_keeps_the_encoder_in_fp32(folder, ours, dtype):
    half = StableVideoDiffusionPipeline.from_pretrained(folder, torch_dtype=dtype)
    half.set_progress_bar_config(disable=True)
    assert half.unet.dtype == half.vae.dtype == dtype
    assert {p.dtype for p in half.vae.encoder.parameters()} == {torch.float32}
    arguments = {**SIZE, "output_type": "np"}
    expected = ours(picture(0), generator=torch.manual_seed(5), **arguments).frames
    frames = half(picture(0), generator=torch.manual_seed(5), **arguments).frames
    assert frames.dtype == np.float32
    assert np.abs(frames - expected).mean() < 0.02
    assert half.unet.dtype == half.vae.dtype == dtype, "no call changes a module's precision"


def test_offloading_moves_each_network_for_its_own_part(ours, monkeypatch):
    """There is no second device here: the moves themselves are recorded."""
    moves = []
    for name in ("vae", "image_encoder", "unet"):
        network = getattr(ours, name)
        record = lambda device, name=name, network=network: moves.append((name, str(device))) or network  # noqa: E731
        monkeypatch.setattr(network, "to", record)
    ours.enable_model_cpu_offload("cpu")
    moves.clear()
    ours(picture(0), generator=torch.manual_seed(0), **SIZE)
    assert [name for name, _ in moves] == ["image_encoder"] * 2 + ["vae"] * 2 + ["unet"] * 2 + ["vae"] * 2


def test_an_error_brings_an_offloaded_network_home(ours, monkeypatch):
    moves = []
    network = ours.unet
    monkeypatch.setattr(network, "to", lambda device: moves.append(str(device)) or network)
    ours.enable_model_cpu_offload("meta")
    monkeypatch.setattr(ours, "_placement", Placement(torch.device("cpu")))
    with pytest.raises(RuntimeError, match="stop"):
        ours(picture(0), callback_on_step_end=lambda *_: (_ for _ in ()).throw(RuntimeError("stop")), **SIZE)
    assert moves[-1] == "cpu"


def test_a_compiled_or_wrapped_unet_can_be_put_in_place(ours):
    class Wrapper(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def __getattr__(self, name):
            try:
                return super().__getattr__(name)
            except AttributeError:
                return getattr(self.inner, name)

        def forward(self, *args):
            return self.inner(*args)

    expected = ours(picture(0), generator=torch.manual_seed(0), output_type="np", **SIZE).frames
    ours.unet = Wrapper(ours.unet)
    assert np.array_equal(ours(picture(0), generator=torch.manual_seed(0), output_type="np", **SIZE).frames, expected)


def test_transparent_pictures_are_seen_on_white(ours):
    clear = Image.new("RGBA", (90, 60), (255, 0, 0, 0))
    white = Image.new("RGB", (90, 60), "white")
    arguments = {**SIZE, "output_type": "np"}
    frames = [ours(p, generator=torch.manual_seed(0), **arguments).frames for p in (clear, white)]
    assert np.array_equal(*frames)


BAD_CALLS = [
    ({"image": "a.png"}, "PIL picture"),
    ({"image": []}, "PIL picture"),
    ({"height": 33}, "does not divide by 2: use 48 x 3"),
    ({"num_frames": -1}, "num_frames"),
    ({"num_frames": 0}, "num_frames"),
    ({"num_videos_per_prompt": 0}, "num_videos_per_prompt is 0"),
    ({"generator": []}, "0 generators for 1 clips"),
    ({"sigmas": []}, "two or more numbers above 0"),
    ({"sigmas": [700.0, 0.0, 0.0]}, "two or more numbers above 0"),
    ({"sigmas": [700.0, float("nan"), 0.0]}, "two or more numbers above 0"),
    ({"image": torch.zeros(1, 3, 32, 48, dtype=torch.uint8)}, "uint8"),
    ({"image": torch.full((1, 3, 32, 48), 255.0)}, "goes up to 255"),
    ({"num_inference_steps": 0}, "steps is 0"),
    ({"output_type": "gif"}, "output_type 'gif'"),
    ({"generator": [torch.Generator(), torch.Generator()]}, "2 generators for 1 clips"),
    ({"latents": torch.zeros(1, 3, 4, 8, 8)}, "latents are"),
    ({"callback_on_step_end_tensor_inputs": ["noise_pred"]}, "noise_pred"),
    ({"fps": 0}, "fps is 0"),
    ({"motion_bucket_id": -1}, "motion_bucket_id is -1"),
    ({"noise_aug_strength": -0.1}, "noise_aug_strength is -0.1"),
    ({"decode_chunk_size": 0}, "decode_chunk_size is 0"),
]


@pytest.mark.parametrize(("changes", "words"), BAD_CALLS)
def test_bad_arguments_get_one_sentence(ours, changes, words):
    with pytest.raises(InputError, match=words) as caught:
        ours(**{"image": picture(0), **SIZE, **changes})
    assert "\n" not in str(caught.value)


def test_sv3d_is_refused_by_name(tmp_path):
    tiny = PRESETS["tiny"]
    orbit = replace(tiny.unet, addition_time_embed_dim=(32,), projection_class_embeddings_input_dim=32)
    save(random_models(orbit, tiny.vae, tiny.clip), tmp_path / "sv3d_u.safetensors")
    with pytest.raises(InputError, match=r"sv3d_u.safetensors is SV3D-U, which turns a camera around an object"):
        StableVideoDiffusionPipeline.from_pretrained(tmp_path / "sv3d_u.safetensors")


def test_another_parametrisation_is_refused(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "model")
    config = tmp_path / "model/scheduler/scheduler_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "prediction_type": "epsilon"}))
    with pytest.raises(InputError, match="prediction_type = 'epsilon'"):
        StableVideoDiffusionPipeline.from_pretrained(tmp_path / "model")


def test_a_model_id_is_looked_up_on_the_hub(folder, monkeypatch):
    import huggingface_hub

    asked = []
    monkeypatch.setattr(
        huggingface_hub, "snapshot_download", lambda name, **options: asked.append((name, options)) or str(folder)
    )
    pipe = StableVideoDiffusionPipeline.from_pretrained("someone/svd", revision="main")
    assert pipe.unet.config.num_frames == 3
    assert asked == [("someone/svd", {"allow_patterns": ["*.json", "*/*.json", "*/*.safetensors"], "revision": "main"})]


def test_a_model_id_that_cannot_be_had_is_one_sentence(monkeypatch):
    import huggingface_hub

    def refuse(name, **options):
        raise OSError("no connection")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(InputError, match=r"someone/svd is no file or folder here.*no connection"):
        StableVideoDiffusionPipeline.from_pretrained("someone/svd")
