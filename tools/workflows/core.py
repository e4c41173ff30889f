"""What the editor's own nodes in the templates have for inputs and outputs, beside those that `headless` can run."""

from typing import Any

from ...headless.core_nodes import CODECS, CONTAINERS, Workspace, host_nodes
from ...headless.graph import Info
from ...nodes import NODES
from ...nodes.host.standalone import io

Model, Clip, Vae, Words, Vision = (io.Custom(t) for t in ("MODEL", "CLIP", "VAE", "CONDITIONING", "CLIP_VISION"))


def infos(workspace: Workspace) -> dict[str, Info]:
    """/object_info of every node that a template uses."""
    known = {n.GET_SCHEMA().node_id: n.GET_NODE_INFO_V1() for n in (*NODES, *host_nodes(workspace))}
    known["CreateVideo"]["input"]["optional"] = {"audio": ("AUDIO", {})}  # which nothing here makes
    # What newer editors have put at the end or inside others comes with its own value there.
    film = known["SaveVideo"]["input"]["required"]
    film["format"] = ("COMBO", {"options": list(CONTAINERS), "default": "auto"})
    known["SaveVideo"]["input"]["optional"] = {"codec": ("COMBO", {"options": list(CODECS), "default": "auto"})}
    for node in known.values():
        if node["output_node"]:
            node["output"] = node["output_name"] = []
    del known["LoadImage"]["input"]["required"]["image"][1]["image_upload"]
    return known | {schema.node_id: _info(schema) for schema in SCHEMAS}


def _info(schema: io.Schema) -> dict[str, Any]:
    class Node(io.ComfyNode):
        @classmethod
        def define_schema(cls) -> io.Schema:
            return schema

    return Node.GET_NODE_INFO_V1()


SCHEMAS = [
    io.Schema(
        "CheckpointLoaderSimple",
        "Load Checkpoint",
        inputs=[io.Combo.Input("ckpt_name", options=[])],
        outputs=[Model.Output(), Clip.Output(), Vae.Output()],
    ),
    io.Schema(
        "CLIPTextEncode",
        "CLIP Text Encode (Prompt)",
        inputs=[io.String.Input("text", multiline=True), Clip.Input("clip")],
        outputs=[Words.Output()],
    ),
    io.Schema(
        "EmptyLatentImage",
        "Empty Latent Image",
        inputs=[
            io.Int.Input("width", default=512),
            io.Int.Input("height", default=512),
            io.Int.Input("batch_size", default=1),
        ],
        outputs=[io.Latent.Output()],
    ),
    io.Schema(
        "KSampler",
        "KSampler",
        inputs=[
            Model.Input("model"),
            io.Int.Input("seed", default=0, control_after_generate=True),
            io.Int.Input("steps", default=20),
            io.Float.Input("cfg", default=8.0),
            io.Combo.Input("sampler_name", options=["euler"]),
            io.Combo.Input("scheduler", options=["normal", "karras"]),
            Words.Input("positive"),
            Words.Input("negative"),
            io.Latent.Input("latent_image"),
            io.Float.Input("denoise", default=1.0),
        ],
        outputs=[io.Latent.Output()],
    ),
    io.Schema(
        "VAEDecode",
        "VAE Decode",
        inputs=[io.Latent.Input("samples"), Vae.Input("vae")],
        outputs=[io.Image.Output()],
    ),
    io.Schema(
        "ImageOnlyCheckpointLoader",
        "Image Only Checkpoint Loader (img2vid model)",
        inputs=[io.Combo.Input("ckpt_name", options=[])],
        outputs=[Model.Output(), Vision.Output(), Vae.Output()],
    ),
    io.Schema(
        "SVD_img2vid_Conditioning",
        "SVD_img2vid_Conditioning",
        inputs=[
            Vision.Input("clip_vision"),
            io.Image.Input("init_image"),
            Vae.Input("vae"),
            io.Int.Input("width", default=1024),
            io.Int.Input("height", default=576),
            io.Int.Input("video_frames", default=14),
            io.Int.Input("motion_bucket_id", default=127),
            io.Int.Input("fps", default=6),
            io.Float.Input("augmentation_level", default=0.0),
        ],
        outputs=[
            Words.Output(display_name="positive"),
            Words.Output(display_name="negative"),
            io.Latent.Output(display_name="latent"),
        ],
    ),
    io.Schema(
        "VideoLinearCFGGuidance",
        "VideoLinearCFGGuidance",
        inputs=[Model.Input("model"), io.Float.Input("min_cfg", default=1.0)],
        outputs=[Model.Output()],
    ),
]
