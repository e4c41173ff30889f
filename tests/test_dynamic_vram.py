"""The editor's layers may have no weights until they are loaded: with dynamic VRAM, the default on an NVIDIA card.

The editor's host runs here on a stand-in for the editor's modules, in a process of its own. tests/comfyui has the same
on the real ones, and bench/editor.py on a card.
"""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from oracle import relative
from tiny_files import ROOT, checkpoint
from torch import nn

from svd_nodes.nodes import NODES
from svd_nodes.nodes.host import standalone
from svd_nodes.nodes.memory import MODES
from svd_nodes.svd.checkpoint import load
from svd_nodes.svd.errors import InputError, LayersError

STAND_IN = ROOT / "tests" / "editor_stand_in"
BY_ID = {node.GET_SCHEMA().node_id: node for node in NODES}


def chain(by_id, name, pixels, memory="auto"):
    """The frames of a tiny clip, through all nodes, and the networks that made them."""

    def run(kind, *inputs, **settings):
        return by_id["StableVideo" + kind].execute(*inputs, **settings).result

    model, clip, vae = run("LoadCheckpoint", name, "fp32", memory)
    (image,) = run("FitImage", pixels, 48, 32, "crop")
    (embedding,) = run("EncodeClip", clip, image)
    (latent,) = run("EncodeLatent", vae, image, 0.02, 5)
    (conditioning,) = run("Condition", embedding, latent, 7, 127)
    (video,) = run("Sample", model, conditioning, 3, 2, 1.0, 3.0, "linear", 5)
    (frames,) = run("Decode", vae, video, 2)
    return frames, (model, clip, vae)


# What the process does that has the stand-in: the same chain, and what it saw of layers and memory on its way.
IN_THE_EDITOR = """
import sys
import comfy.memory_management, comfy.cli_args, comfy.model_management as manager
comfy.memory_management.aimdo_enabled = {dynamic}
comfy.cli_args.args.vram_headroom = 0.5
import comfy_api.latest
import torch
torch.set_num_threads(1)
from svd_nodes.nodes import NODES, host
from svd_nodes.nodes.memory import MODES
import test_dynamic_vram as test
by_id = {{node.GET_SCHEMA().node_id: node for node in NODES}}
layers = [host.ops.Linear(3, 4), host.ops.Conv2d(3, 4, 1), host.ops.GroupNorm(2, 4), host.ops.LayerNorm(4)]
pixels = torch.load("pixels.pt")
with torch.inference_mode():
    frames = {{mode: test.chain(by_id, "tiny.safetensors", pixels, mode) for mode in MODES}}
networks = frames["fast"][1]
torch.save({{
    "frames": {{mode: made.clone() for mode, (made, _) in frames.items()}},
    "weights": [type(layer.weight).__name__ for layer in layers],
    "casts": [layer.comfy_cast_weights for layer in layers],
    "asked": manager.asked,
    "patchers": [type(network.patcher).__name__ for network in networks],
    "free": [network.free_memory() for network in networks],
    "room": networks[0]._room(manager.CPU),
    "host": host.Network.__module__,
}}, "seen.pt")
"""


def in_the_editor(folder: Path, dynamic: bool) -> dict:
    places = [str(STAND_IN), str(ROOT / "tests"), *sys.path]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(place for place in places if place)}
    command = [sys.executable, "-c", IN_THE_EDITOR.format(dynamic=dynamic)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return torch.load(folder / "seen.pt")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("editor")
    checkpoint(folder)
    torch.save(torch.rand(1, 40, 60, 3, generator=torch.Generator().manual_seed(0)), folder / "pixels.pt")
    return folder


@pytest.fixture(scope="module", params=[False, True], ids=["dynamic VRAM off", "dynamic VRAM on"])
def seen(request, folder):
    return in_the_editor(folder, request.param)


def test_the_host_s_layers_have_their_weights_from_the_start(seen):
    assert seen["host"] == "svd_nodes.nodes.host.comfyui"
    assert seen["weights"] == ["Parameter"] * 4
    assert seen["casts"] == [True] * 4, "the manager streams these alone"


def test_the_whole_chain_gives_the_frames_of_the_standalone_host_in_every_memory_mode(seen, folder):
    session = standalone.Session((folder,), torch.device("cpu"))
    with session.active(), torch.inference_mode():
        frames, _ = chain(BY_ID, "tiny.safetensors", torch.load(folder / "pixels.pt"))
    assert set(seen["frames"]) == set(MODES)
    for mode, made in seen["frames"].items():
        same_work = mode in ("auto", "fast")  # the others run guidance's halves one by one
        assert torch.allclose(made, frames, rtol=0, atol=0 if same_work else 1e-4), mode


def test_the_manager_is_asked_for_the_work_and_for_what_must_stay_free(seen):
    assert {name for name, _, _ in seen["asked"]} == {"SVD_UNet", "SVD_VAE", "SVD_CLIP"}
    assert all(needed > 2**29 for _, needed, _ in seen["asked"])
    assert {name for name, _, whole in seen["asked"] if whole} == {"SVD_CLIP"}


def test_the_editor_s_cache_sees_what_hangs_on_a_result(seen):
    """It looks for an attribute of this name that is a ModelPatcher."""
    assert seen["patchers"] == ["ModelPatcher"] * 3


def test_the_free_figure_is_the_manager_s_own(seen):
    assert seen["free"] == [None] * 3, "a processor has no memory of its own"
    kept = 2**28 + 2**29  # what the editor reserves by itself, and what it was told to leave free
    assert seen["room"] == (20 + 1) * 2**30 - kept, "free, and what others give back, less what must stay free"


# ---- layers of any host


class Empty(nn.Linear):
    """Has no weights until it is loaded."""

    def __init__(self, in_features, out_features, bias=True):
        super().__init__(in_features, out_features, bias)
        self.weight = self.bias = None

    def _load_from_state_dict(self, state, prefix, *_):
        self.weight = nn.Parameter(state[prefix + "weight"])
        self.bias = nn.Parameter(state[prefix + "bias"]) if prefix + "bias" in state else None


class Quantised(nn.Linear):
    """Keeps its weight in another form, under other names."""

    def __init__(self, in_features, out_features, bias=True):
        super().__init__(in_features, out_features, bias)
        self.weight = None
        self.register_buffer("packed", torch.zeros(1, device="cpu"))

    def _load_from_state_dict(self, state, prefix, meta, strict, missing, unexpected, errors):
        self.packed = state[prefix + "weight"].double()
        if self.bias is not None:
            self.bias = nn.Parameter(state[prefix + "bias"])

    def forward(self, x):
        return nn.functional.linear(x, self.packed.to(x), self.bias)


class Deaf(nn.Linear):
    """Was given weights of another name."""

    def __init__(self, *args, **settings):
        super().__init__(*args, **settings)
        self.kernel, self.weight = self.weight, None


class Idle(nn.Linear):
    """Takes its weights without using them."""

    def _load_from_state_dict(self, *_): ...


def ops(linear: type[nn.Linear]) -> SimpleNamespace:
    return SimpleNamespace(Linear=linear, Conv2d=nn.Conv2d, GroupNorm=nn.GroupNorm, LayerNorm=nn.LayerNorm)


@pytest.mark.parametrize("linear", [Empty, Quantised])
def test_what_a_file_must_hold_is_not_read_from_the_host_s_layers(linear, folder):
    loaded, plain = load(folder / "tiny.safetensors", ops=ops(linear)), load(folder / "tiny.safetensors")
    x = torch.randn(2, 8, 8, 8), torch.tensor(0.3), torch.randn(1, 1, plain.unet.config.cross_attention_dim[0])
    with torch.no_grad():
        made, right = (unet(*x, torch.ones(1, 3), 2) for unet in (loaded.unet, plain.unet))
    assert relative(made, right) <= 1e-5, "a layer that is called rounds otherwise than one that is read"


@pytest.mark.parametrize("linear", [Deaf, Idle])
def test_layers_that_take_no_weights_are_our_fault_and_no_file_s(linear, folder):
    with pytest.raises(LayersError, match=r"The UNet did not take its weights .* no fault of the file") as told:
        load(folder / "tiny.safetensors", ops=ops(linear))
    assert not isinstance(told.value, InputError)


def test_a_file_at_fault_is_named_whatever_the_layers_are(folder, tmp_path):
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "tiny.safetensors")
    name = next(name for name in tensors if name.endswith("time_embed.0.weight"))
    del tensors[name]
    save_file(tensors, tmp_path / "short.safetensors")
    for linear in (nn.Linear, Empty):
        with pytest.raises(InputError, match=r"1 missing \(.*time_embed\.0\.weight\)"):
            load(tmp_path / "short.safetensors", ops=ops(linear))
