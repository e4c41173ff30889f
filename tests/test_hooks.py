"""Weights that somebody else moves or trains: accelerate's offloading, torch's hooks, DistributedDataParallel, peft."""

import copy
import pickle
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from PIL import Image
from torch import distributed, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from svd_nodes.svd import InputError, StableVideoDiffusionPipeline
from svd_nodes.svd.unet import UNet
from svd_nodes.tools.random_checkpoint import preset_models

SIZE = {"height": 48, "width": 64, "num_frames": 3, "num_inference_steps": 2, "output_type": "np"}
PICTURE = Image.radial_gradient("L").convert("RGB").resize((60, 40))
CPU = torch.device("cpu")


def a_pipe() -> StableVideoDiffusionPipeline:
    models = preset_models("tiny")
    pipe = StableVideoDiffusionPipeline(models.vae, models.clip, models.unet)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def frames(pipe) -> np.ndarray:
    return pipe(PICTURE, generator=torch.Generator().manual_seed(1), **SIZE).frames


@pytest.fixture(scope="module")
def expected() -> np.ndarray:
    return frames(a_pipe())


# ---- weights that come when their layer is called


def cpu_offload(accelerate, network, folder):
    accelerate.cpu_offload(network, execution_device="cpu")


def disk_offload(accelerate, network, folder):
    folder.mkdir()
    accelerate.disk_offload(network, folder, execution_device="cpu")


def whole_at_once(accelerate, network, folder):
    """A hook on the network alone brings all of it: diffusers' own model offloading."""
    accelerate.cpu_offload_with_hook(network, execution_device="cpu")


@pytest.mark.parametrize("names", [["unet"], ["vae"], ["unet", "vae", "image_encoder"]], ids="+".join)
@pytest.mark.parametrize("offload", [cpu_offload, disk_offload, whole_at_once])
def test_frames_of_networks_that_accelerate_offloads(offload, names, expected, tmp_path):
    accelerate = pytest.importorskip("accelerate")
    pipe = a_pipe()
    for name in names:
        offload(accelerate, getattr(pipe, name), tmp_path / name)
    assert pipe.device == CPU
    assert np.abs(frames(pipe) - expected).max() <= 1e-5
    assert np.abs(frames(pipe) - expected).max() <= 1e-5, "and again"


def test_offloaded_weights_are_not_moved_and_not_saved(tmp_path):
    accelerate = pytest.importorskip("accelerate")
    pipe = a_pipe()
    accelerate.cpu_offload(pipe.unet, execution_device="cpu")
    for move in (lambda: pipe.to("cpu"), lambda: pipe.to(torch.float16), lambda: pipe.enable_model_cpu_offload("cpu")):
        with pytest.raises(InputError, match="The weights of unet are brought by accelerate's hooks: take those off"):
            move()
    with pytest.raises(InputError, match="The UNet's weights are elsewhere"):
        pipe.save_pretrained(tmp_path / "folder")
    assert not any(tmp_path.iterdir())
    accelerate.hooks.remove_hook_from_submodules(pipe.unet)


def test_where_a_network_works_is_what_its_hooks_say():
    accelerate = pytest.importorskip("accelerate")
    pipe = a_pipe()
    accelerate.cpu_offload(pipe.unet, execution_device="cuda:1")
    assert pipe.device == torch.device("cuda:1")
    accelerate.hooks.remove_hook_from_submodules(pipe.unet)
    pipe.unet.to("meta")
    with pytest.raises(InputError, match="on the meta device, so there are none"):
        frames(pipe)


def test_streaming_keeps_to_networks_of_its_own(expected):
    pipe = a_pipe()
    pipe.enable_sequential_cpu_offload("cpu")
    assert np.abs(frames(pipe) - expected).max() <= 1e-5
    pipe.unet = copy.deepcopy(pipe.unet)
    assert np.abs(frames(pipe) - expected).max() <= 1e-5


@pytest.mark.parametrize("register", [register_module_forward_hook, register_module_forward_pre_hook])
def test_hooks_on_every_module_see_every_layer_without_gradients_too(register):
    unet, seen = preset_models("tiny").unet, set()
    names = {module: name for name, module in unet.named_modules()}
    handle = register(lambda module, *_: seen.add(names.get(module)))
    try:
        with torch.no_grad():
            unet(*inputs())
    finally:
        handle.remove()
    layers = {name for name, m in unet.named_modules() if isinstance(m, nn.Linear | nn.Conv2d | nn.GroupNorm)}
    unused = {name for name in layers if "attn2.to_q" in name or "attn2.to_k" in name}
    assert layers - seen == unused


def test_weights_of_a_class_of_their_own_are_left_to_their_layer():
    """Quantised tensors, DTensors: what they are is known to torch's functions, not to who reads their memory."""

    class Doubled(torch.Tensor):
        @classmethod
        def __torch_function__(cls, function, types, args=(), kwargs=None):
            plain = [arg.as_subclass(torch.Tensor) if isinstance(arg, cls) else arg for arg in args]
            if function is nn.functional.linear:
                plain[1] = 2 * plain[1]
            return function(*plain, **(kwargs or {}))

    models, doubled = preset_models("tiny"), preset_models("tiny").unet
    for network, make in ((doubled, lambda w: w.as_subclass(Doubled)), (models.unet, lambda w: 2 * w)):
        for module in network.modules():
            if isinstance(module, nn.Linear):
                weight = make(module.weight.detach())
                del module.weight
                module.weight = weight
    with torch.no_grad():
        torch.testing.assert_close(doubled(*inputs()), models.unet(*inputs()), rtol=1e-4, atol=1e-4)


# ---- training


def inputs(frames: int = 3) -> tuple:
    generator = torch.Generator().manual_seed(0)
    x, context = torch.randn(frames, 8, 8, 8, generator=generator), torch.randn(1, 1, 32, generator=generator)
    return x, torch.tensor(0.5), context, torch.tensor([[6.0, 127, 0.02]]), frames


@contextmanager
def a_group_of_one(folder):
    distributed.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=0, world_size=1)
    try:
        yield
    finally:
        distributed.destroy_process_group()


def plain(unet: UNet) -> UNet:
    return unet.requires_grad_(True)


def adapted(unet: UNet) -> nn.Module:
    peft = pytest.importorskip("peft")
    return peft.inject_adapter_in_model(peft.LoraConfig(r=2, target_modules=["to_q", "to_k", "to_v"]), unet)


@pytest.mark.parametrize("training", [True, False], ids=["train()", "eval()"])
@pytest.mark.parametrize("prepare", [plain, adapted])
@pytest.mark.filterwarnings("ignore:Grad strides")
def test_distributed_data_parallel_takes_step_after_step(prepare, training, tmp_path):
    unet = prepare(preset_models("tiny").unet).train(training)
    wanted = [p for p in unet.parameters() if p.requires_grad]
    assert wanted
    with a_group_of_one(tmp_path):
        parallel = nn.parallel.DistributedDataParallel(unet)
        for _ in range(3):
            parallel(*inputs()).square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in wanted)


def test_what_one_token_leaves_out_has_a_gradient_of_exactly_zero_and_takes_no_part():
    unet = preset_models("tiny").unet
    with torch.no_grad():
        expected = unet(*inputs())
    unet.requires_grad_(True)
    result = unet(*inputs())
    torch.testing.assert_close(result, expected, rtol=1e-5, atol=1e-5)
    result.square().mean().backward()
    unused = {n: p for n, p in unet.named_parameters() if any(x in n for x in ("attn2.to_q", "attn2.to_k", "norm2"))}
    assert unused
    assert all(p.grad is not None and not p.grad.any() for p in unused.values())


def test_loaded_weights_ask_for_no_gradients_until_they_are_told_to(tmp_path):
    pipe = a_pipe()
    pipe.save_pretrained(tmp_path / "folder")
    unet = StableVideoDiffusionPipeline.from_pretrained(tmp_path / "folder").unet
    assert not unet.training
    assert not any(p.requires_grad for p in unet.parameters())
    unet.train().requires_grad_(True)
    before = pickle.dumps(unet.state_dict())
    optimiser = torch.optim.SGD(unet.parameters(), lr=1e-2)
    unet(*inputs()).square().mean().backward()
    optimiser.step()
    assert pickle.dumps(unet.state_dict()) != before
