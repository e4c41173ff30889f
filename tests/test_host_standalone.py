"""The host without an editor: what nodes say about themselves, checkpoints, sessions."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from record_object_info import RECORD
from record_object_info import standalone as derived_info

from svd_nodes.nodes import NODES
from svd_nodes.nodes.host import folders, standalone
from svd_nodes.nodes.host import standalone_io as io
from svd_nodes.nodes.host.supported import supported
from svd_nodes.svd.errors import InputError

INFO = derived_info()


def session(*checkpoint_folders: Path, **settings) -> standalone.Session:
    return standalone.Session(checkpoint_folders=checkpoint_folders, device=torch.device("cpu"), **settings)


def test_object_info_equals_the_record():
    assert json.loads(RECORD.read_text()) == INFO, "run tests/record_object_info.py if the change is meant"


def test_the_eight_nodes():
    assert list(INFO) == [
        "StableVideoLoadCheckpoint",
        "StableVideoFitImage",
        "StableVideoEncodeClip",
        "StableVideoEncodeLatent",
        "StableVideoCondition",
        "StableVideoSigmas",
        "StableVideoSample",
        "StableVideoDecode",
    ]


@pytest.mark.parametrize("node", INFO)
def test_every_input_and_output_is_explained(node):
    info = INFO[node]
    assert info["description"]
    assert info["display_name"]
    assert info["category"] == "video/Stable Video Diffusion"
    for group in info["input"].values():
        for name, (_, settings) in group.items():
            assert settings["tooltip"].endswith("."), name
    assert all(tooltip and tooltip.endswith(".") for tooltip in info["output_tooltips"])


@pytest.mark.parametrize("node", INFO)
def test_defaults_lie_in_range(node):
    for group in INFO[node]["input"].values():
        for name, (kind, settings) in group.items():
            if kind in ("INT", "FLOAT"):
                assert settings["min"] <= settings["default"] <= settings["max"], name
            if kind == "COMBO" and "default" in settings:
                assert settings["default"] in settings["options"], name


def test_an_unknown_widget_setting_is_refused():
    with pytest.raises(TypeError, match="no setting called maximum"):
        io.Int.Input("steps", maximum=3)


def test_importing_the_nodes_is_light():
    code = "import sys, svd_nodes.nodes; print([m for m in ('transformers', 'diffusers', 'av') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_pack_s_own_module_imports_nothing():
    code = "import sys, svd_nodes; print('torch' in sys.modules, 'svd_nodes.nodes' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False False"


def test_the_editor_s_api_on_the_path_is_not_the_editor(tmp_path):
    """A command line started in the editor's folder can import comfy_api, and must not."""
    (tmp_path / "comfy_api").mkdir()
    (tmp_path / "comfy_api" / "__init__.py").write_text("raise SystemExit('imported')")
    code = "import svd_nodes.nodes.host as host; print(host.Network.__module__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.strip() == "svd_nodes.nodes.host.standalone"


def folder_of_checkpoints(root: Path) -> Path:
    for name in ("b.safetensors", "sub/a.safetensors", "notes.txt", "old.ckpt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    for name in ("svd-folder", "author/svd-folder"):
        (root / name / "unet").mkdir(parents=True)
        (root / name / "model_index.json").touch()
        (root / name / "unet" / "diffusion_pytorch_model.safetensors").touch()
    return root


def test_checkpoints_are_files_and_whole_folders(tmp_path):
    with session(folder_of_checkpoints(tmp_path), tmp_path / "missing").active():
        names = [Path(name).as_posix() for name in standalone.checkpoint_names()]
        assert names == ["author/svd-folder", "b.safetensors", "sub/a.safetensors", "svd-folder"]
        assert all(standalone.checkpoint_path(name).exists() for name in standalone.checkpoint_names())


def test_the_first_folder_wins(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "svd.safetensors").touch()
    with session(tmp_path / "one", tmp_path / "two").active():
        assert standalone.checkpoint_names() == ["svd.safetensors"]
        assert standalone.checkpoint_path("svd.safetensors") == tmp_path / "one" / "svd.safetensors"


def test_a_path_works_in_place_of_a_name(tmp_path):
    file = tmp_path / "anywhere.safetensors"
    file.touch()
    with session().active():
        assert standalone.checkpoint_path(str(file)) == file


def test_a_path_comes_before_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "svd.safetensors").touch()
    with session(tmp_path / "one", tmp_path / "one").active():
        assert standalone.checkpoint_path("svd.safetensors") == tmp_path / "one" / "svd.safetensors"
        (tmp_path / "svd.safetensors").touch()
        assert standalone.checkpoint_path("svd.safetensors") == Path("svd.safetensors")
        with pytest.raises(InputError) as refused:
            standalone.checkpoint_path("no.safetensors")
    assert str(refused.value).endswith(f"put it in one of these folders: {tmp_path / 'one'}.")


def test_a_fresh_install_says_what_to_do(tmp_path):
    with session(tmp_path).active():
        assert standalone.checkpoint_names() == [folders.NO_CHECKPOINT]
        with pytest.raises(InputError, match=r"put svd_xt\.safetensors in one of these folders"):
            standalone.checkpoint_path(folders.NO_CHECKPOINT)
        with pytest.raises(InputError, match=r"no checkpoint called 'svd\.safetensors'"):
            standalone.checkpoint_path("svd.safetensors")


def test_sessions_nest_and_end(tmp_path):
    seen = []
    with session(tmp_path, on_progress=lambda *step: seen.append(step)).active():
        with session().active():
            standalone.progress(3)(1)
        standalone.progress(3)(2)
        standalone.progress(3)(1, 7, None)
    standalone.progress(3)(3)
    assert seen == [(2, 3, None), (1, 7, None)]


def test_precision_on_the_cpu():
    with session().active():
        dtypes = {choice: standalone.precision(choice) for choice in ("auto", "fp16", "bf16", "fp32")}
    assert dtypes == {"auto": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}


CPU_FULL = "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory"


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError(CPU_FULL)])
def test_out_of_memory_becomes_advice(error):
    network = standalone.Network(torch.nn.Linear(1, 1))
    with (
        session().active(),
        pytest.raises(MemoryError, match="set it to 3, of None"),
        network.at_work(0, lambda room: f"set it to 3, of {room}"),
    ):
        raise error


def test_other_errors_of_torch_stay():
    network = standalone.Network(torch.nn.Linear(1, 1))
    with session().active(), pytest.raises(RuntimeError, match="shapes"), network.at_work(0, lambda room: "less"):
        raise RuntimeError("shapes cannot be multiplied")


def test_problem_asks_a_node_about_the_inputs_it_names():
    fit = next(node for node in NODES if node.GET_SCHEMA().node_id == "StableVideoFitImage")
    assert standalone.problem(fit, {"image": None, "width": 512, "height": 512, "fit": "crop"}) is None
    assert standalone.problem(fit, {"image": None, "width": None, "height": 500, "fit": "crop"}) is None
    assert "use 512 x 496" in standalone.problem(fit, {"image": None, "width": 510, "height": 499, "fit": "crop"})


@pytest.mark.parametrize("node", INFO)
def test_every_node_has_a_help_page(node):
    page = Path(__file__).parents[1] / "web" / "docs" / f"{node}.md"
    assert page.read_text().startswith(f"# {INFO[node]['display_name']}\n")


def test_an_older_editor_is_not_told_what_it_does_not_know():
    def older(node_id: str, description: str = "") -> None: ...

    assert supported(older, description="short", search_aliases=["video"]) == {"description": "short"}
    assert supported(io.Schema, search_aliases=["video"]) == {"search_aliases": ["video"]}


def test_what_few_change_is_advanced_and_nothing_else():
    told = {
        name
        for info in INFO.values()
        for group in info["input"].values()
        for name, (_, options, *_) in group.items()
        if options.get("advanced")
    }
    assert told == {"noise_aug_strength", "churn", "frames_per_chunk", "sigma_min", "sigma_max", "rho"}
