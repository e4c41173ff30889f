"""The templates, one function each: which nodes, where they stand, and how the wires go round them.

A window of 1600 x 900 shows 2105 x 1184 of a template as it opens, and 2620 x 1475 of `compare_motion`.
"""

from collections.abc import Callable, Mapping
from typing import Any

from ...headless.graph import Info
from . import notes
from .sheet import BLUE, GOLD, GREEN, ROSE, Sheet

Values = dict[str, Any]

XT: Values = {"checkpoint": "svd_xt.safetensors"}
NANO: Values = {"checkpoint": "svd_nano.safetensors"}
LARGE: Values = {"width": 1024, "height": 576}
SMALL: Values = {"width": 256, "height": 256}
PICTURE: Values = {"image": "lighthouse.png"}
BUCKETS = (16, 64, 128, 220)
FORM: dict[tuple[int, str], Values] = {  # of `_chain`, for those who want no graph
    (2, "image"): {"description": "The picture to animate", "height": 200},
    (6, "motion_bucket_id"): {"description": "How much moves, from 1 to 255"},
    (8, "seed"): {"description": "Another seed, another video"},
}
BETWEEN = 290  # one column of `compare_motion` and the next


def quickstart(infos: Mapping[str, Info]) -> dict[str, Any]:
    sheet = Sheet("5f1d1c2e-0e0b-4c52-9a52-3d3a4b9b7a01", infos)
    sheet.note(12, (0, -20, 295, 285), notes.QUICKSTART)
    settings: Values = {"frames": 14, "steps": 12, "max_guidance": 2}
    # Of eight seeds at buckets 45, 60, 70 and 90 the one whose tower, edge and horizon are whole to the last frame.
    _chain(sheet, NANO, SMALL, {"motion_bucket_id": 70}, settings, "svd_quickstart", seed=3)
    return sheet.document()


def image_to_video(infos: Mapping[str, Info]) -> dict[str, Any]:
    sheet = Sheet("8c0f7c5a-6a33-4f0e-8f42-9f6f0f4b2b02", infos)
    sheet.note(12, (0, -20, 295, 440), notes.IMAGE_TO_VIDEO)
    _chain(sheet, XT, LARGE, {}, {}, "svd")
    return sheet.document()


def image_to_video_10_steps(infos: Mapping[str, Info]) -> dict[str, Any]:
    sheet = Sheet("b1f4a6d2-93c7-4f0a-8d35-2e6c7a9b0c03", infos)
    sheet.note(12, (0, -20, 295, 440), notes.TEN_STEPS)
    _chain(sheet, XT, LARGE, {}, {"steps": 10}, "svd", sigmas=True)
    return sheet.document()


def _chain(
    sheet: Sheet,
    checkpoint: dict[str, Any],
    size: Values,
    told: dict[str, Any],
    settings: dict[str, Any],
    prefix: str,
    sigmas: bool = False,
    seed: int = 0,
) -> None:
    """A picture from a file becomes a video: nodes 1 to 6 and 8 to 11 in two rows.

    The sampler has a column of its own: it grows when it shows the clip. Save Video holds a square
    preview of its own width; newer editors show it above their minimap in a window of 1600 x 757.
    """
    bottom = 530 if sigmas else 445
    sheet.node(1, "StableVideoLoadCheckpoint", (325, 0, 270, 122), **checkpoint)
    sheet.node(2, "LoadImage", (15, 550, 270, 330), **PICTURE)
    sheet.node(3, "StableVideoFitImage", (325, 550, 270, 110), {"image": (2, 0)}, **size)
    sheet.node(4, "StableVideoEncodeClip", (670, 90, 235, 50), {"clip": (1, 1), "image": (3, 0)})
    sheet.node(5, "StableVideoEncodeLatent", (670, 220, 235, 130), {"vae": (1, 2), "image": (3, 0)}, seed=seed)
    told_at = (945, 55 if sigmas else 90, 235, 110)
    sheet.node(6, "StableVideoCondition", told_at, {"embedding": (4, 0), "image_latent": (5, 0)}, **told)
    links = {"model": (1, 0), "conditioning": (6, 0)}
    if sigmas:
        sheet.node(7, "StableVideoSigmas", (945, 245, 235, 160), schedule="align-your-steps", steps=10)
        links["sigmas"] = (7, 0)
    sheet.node(8, "StableVideoSample", (1235, 0, 240, 290), links, **settings, seed=seed)
    sheet.node(9, "StableVideoDecode", (670, 550, 235, 80), {"vae": (1, 2), "latent": (8, 0)})
    sheet.node(10, "CreateVideo", (945, 550, 235, 80), {"images": (9, 0)}, fps=7)
    sheet.node(11, "SaveVideo", (1555, 0, 335, 450), {"video": (10, 0)}, filename_prefix=prefix)
    sheet.route(9, "vae", (617, 130), (617, 440))
    sheet.route(9, "latent", (1505, 110), (1505, 710), (640, 700))
    sheet.route(11, "video", (1207, 640), (1225, 735), (1525, 735), (1525, 330))
    sheet.group("1 · Model", (310, -80, 300, 265), BLUE)
    sheet.group("2 · Picture", (0, 470, 610, 425), BLUE)
    sheet.group("3 · What the sampler is told", (655, -80, 540, bottom), GREEN)
    sheet.group("4 · Sample", (1220, -80, 270, 765), GOLD)
    sheet.group("5 · Decode", (655, 470, 540, 215), GOLD)
    sheet.group("6 · Save", (1540, -80, 365, 545), ROSE)
    sheet.form(FORM, output=11)


def text_to_video(infos: Mapping[str, Info]) -> dict[str, Any]:
    """The editor's own text-to-image in the upper row, the video in the lower."""
    sheet = Sheet("2d7b9c14-58ae-4b0f-9a61-c07f3e51d404", infos)
    sheet.note(18, (0, -20, 295, 370), notes.TEXT_TO_VIDEO)
    _picture_from_words(sheet)
    sheet.node(1, "StableVideoLoadCheckpoint", (32, 500, 262, 122), **XT)
    sheet.node(3, "StableVideoFitImage", (32, 735, 262, 110), {"image": (16, 0)}, **LARGE)
    sheet.node(4, "StableVideoEncodeClip", (360, 590, 235, 50), {"clip": (1, 1), "image": (3, 0)})
    sheet.node(5, "StableVideoEncodeLatent", (360, 720, 235, 130), {"vae": (1, 2), "image": (3, 0)})
    sheet.node(6, "StableVideoCondition", (635, 590, 235, 110), {"embedding": (4, 0), "image_latent": (5, 0)})
    sheet.node(8, "StableVideoSample", (925, 500, 240, 290), {"model": (1, 0), "conditioning": (6, 0)})
    sheet.node(9, "StableVideoDecode", (1240, 500, 230, 80), {"vae": (1, 2), "latent": (8, 0)})
    sheet.node(10, "CreateVideo", (1240, 700, 230, 80), {"images": (9, 0)}, fps=7)
    sheet.node(11, "SaveVideo", (1555, 500, 335, 390), {"video": (10, 0)}, filename_prefix="svd_text")
    sheet.route(3, "image", (1613, 60), (1613, 398), (6, 398), (6, 695))
    sheet.route(9, "vae", (325, 620), (325, 890), (1205, 890), (1205, 620))
    sheet.route(10, "images", (1490, 520), (1490, 630), (1215, 640))
    sheet.group("2 · Model and size", (18, 420, 290, 485), BLUE)
    sheet.group("3 · What the sampler is told", (345, 420, 540, 445), GREEN)
    sheet.group("4 · Sample", (910, 420, 270, 445), GOLD)
    sheet.group("5 · Decode", (1225, 420, 260, 445), GOLD)
    sheet.group("6 · Save", (1540, 420, 365, 485), ROSE)
    return sheet.document()


def _picture_from_words(sheet: Sheet) -> None:
    words = "a lighthouse on a rocky headland at sunset, waves, drifting clouds, photograph"
    sheet.node(12, "CheckpointLoaderSimple", (340, 0, 270, 98), ckpt_name="sd_xl_base_1.0.safetensors")
    sheet.node(13, "EmptyLatentImage", (340, 190, 270, 106), **LARGE)
    sheet.node(14, "CLIPTextEncode", (680, 60, 300, 100), {"clip": (12, 1)}, "What to show", text=words)
    avoided = "text, watermark, blurry, people"
    sheet.node(15, "CLIPTextEncode", (680, 215, 300, 80), {"clip": (12, 1)}, "What to avoid", text=avoided)
    links = {"model": (12, 0), "positive": (14, 0), "negative": (15, 0), "latent_image": (13, 0)}
    settings: Values = {"steps": 25, "cfg": 7.0, "sampler_name": "euler", "scheduler": "normal"}
    sheet.node(17, "KSampler", (1050, 0, 270, 262), links, **settings)
    sheet.node(16, "VAEDecode", (1390, 0, 200, 46), {"samples": (17, 0), "vae": (12, 2)})
    sheet.node(19, "PreviewImage", (1650, 0, 240, 300), {"images": (16, 0)})
    sheet.route(17, "latent_image", (632, 300), (650, 322), (1010, 322))
    sheet.route(16, "vae", (632, 160), (632, 342), (1350, 342))
    sheet.group("1 · A picture from words", (325, -80, 1580, 440), GREEN)


def compare_motion(infos: Mapping[str, Info]) -> dict[str, Any]:
    """A column for each motion bucket; what they share stands to their left, what joins them to their right."""
    sheet = Sheet("7e0c52d8-1f4b-4a86-b2f3-6d95c8a1e505", infos, scale=0.61)
    sheet.note(30, (0, 920, 620, 190), notes.COMPARE_MOTION)
    sheet.node(1, "StableVideoLoadCheckpoint", (30, 0, 260, 122), **NANO)
    sheet.node(2, "LoadImage", (30, 215, 260, 290), **PICTURE)
    sheet.node(3, "StableVideoFitImage", (30, 585, 260, 140), {"image": (2, 0)}, **SMALL)
    sheet.node(4, "StableVideoEncodeClip", (370, 235, 235, 50), {"clip": (1, 1), "image": (3, 0)})
    sheet.node(5, "StableVideoEncodeLatent", (370, 385, 235, 130), {"vae": (1, 2), "image": (3, 0)})
    sheet.route(3, "image", (310, 290), (310, 520), (6, 530))
    for column, bucket in enumerate(BUCKETS):
        _column(sheet, column, bucket)
    _side_by_side(sheet)
    sheet.group("1 · Model and picture", (15, -80, 310, 825), BLUE)
    sheet.group("2 · Encoded", (355, 155, 265, 375), GREEN)
    sheet.group("3 · Four amounts of motion", (635, -80, 1185, 1190), GOLD)
    sheet.group("4 · Side by side", (1850, -80, 545, 910), ROSE)
    return sheet.document()


def _column(sheet: Sheet, column: int, bucket: int) -> None:
    x, first = 680 + BETWEEN * column, 10 + 3 * column
    links = {"embedding": (4, 0), "image_latent": (5, 0)}
    sheet.node(first, "StableVideoCondition", (x, 35, 235, 140), links, f"Motion {bucket}", motion_bucket_id=bucket)
    links = {"model": (1, 0), "conditioning": (first, 0)}
    settings: Values = {"frames": 14, "steps": 12, "max_guidance": 2}
    sheet.node(first + 1, "StableVideoSample", (x, 255, 235, 366), links, **settings)
    links = {"vae": (1, 2), "latent": (first + 1, 0)}
    sheet.node(first + 2, "StableVideoDecode", (x, 940, 235, 110), links)
    taps = [680 + BETWEEN * i - 45 for i in range(column + 1)]
    sheet.route(first, "embedding", (635, 150), *((tap, -32) for tap in taps))
    sheet.route(first, "image_latent", (650, 150), *((tap + 20, -12) for tap in taps))
    sheet.route(first + 1, "model", (330, 208), *((tap, 208) for tap in taps))
    sheet.route(first + 1, "conditioning", (x + 255, 80), (x + 255, 190), (x - 25, 190))
    sheet.route(first + 2, "vae", (337, 180), (337, 860), *((tap, 886) for tap in taps))
    sheet.route(first + 2, "latent", (x + 255, 320), (x + 255, 868), (x - 25, 868))


def _side_by_side(sheet: Sheet) -> None:
    look: Values = {"spacing_width": 8, "spacing_color": "black"}
    for id, title, y, pair in ((22, "Top", 410, (12, 15)), (23, "Bottom", 640, (18, 21))):
        links = {"image1": (pair[0], 0), "image2": (pair[1], 0)}
        sheet.node(id, "ImageStitch", (1865, y, 235, 175), links, title, **look)
    for column, (id, name) in enumerate(((22, "image1"), (22, "image2"), (23, "image1"))):
        right, below, up = 680 + BETWEEN * column + 255, 1065 + 15 * column, 1840 - 8 * column
        sheet.route(id, name, (right, 980), (right, below), (up, below), (up, 700))
    links = {"image1": (22, 0), "image2": (23, 0)}
    sheet.node(24, "ImageStitch", (2135, 410, 235, 175), links, "All four", direction="down", **look)
    sheet.node(25, "CreateVideo", (2135, 670, 235, 80), {"images": (24, 0)}, fps=7)
    sheet.node(26, "SaveVideo", (1865, 0, 505, 330), {"video": (25, 0)}, filename_prefix="svd_compare_motion")
    sheet.route(25, "images", (2380, 500), (2380, 600), (2120, 615))
    sheet.route(26, "video", (2391, 640), (2391, 360), (1858, 350), (1856, 70))


def from_core(infos: Mapping[str, Info]) -> dict[str, Any]:
    """The editor's own SVD nodes above, ours below, one picture for both."""
    sheet = Sheet("c94e1a77-0d3e-4f6b-8a2c-15b7d2f0a606", infos)
    sheet.note(30, (0, -20, 295, 430), notes.FROM_CORE)
    sheet.node(2, "LoadImage", (15, 520, 270, 330), **PICTURE)
    sheet.group("One picture for both", (0, 440, 300, 425), BLUE)
    _core_chain(sheet)
    sheet.node(1, "StableVideoLoadCheckpoint", (345, 500, 250, 122), **XT)
    sheet.node(3, "StableVideoFitImage", (345, 740, 250, 110), {"image": (2, 0)}, **LARGE)
    sheet.node(4, "StableVideoEncodeClip", (660, 590, 215, 50), {"clip": (1, 1), "image": (3, 0)})
    sheet.node(5, "StableVideoEncodeLatent", (660, 720, 215, 130), {"vae": (1, 2), "image": (3, 0)})
    sheet.node(6, "StableVideoCondition", (905, 590, 205, 110), {"embedding": (4, 0), "image_latent": (5, 0)})
    sheet.node(8, "StableVideoSample", (1150, 500, 220, 290), {"model": (1, 0), "conditioning": (6, 0)})
    sheet.node(9, "StableVideoDecode", (1420, 500, 185, 80), {"vae": (1, 2), "latent": (8, 0)})
    sheet.node(10, "CreateVideo", (1420, 690, 185, 80), {"images": (9, 0)}, fps=7)
    sheet.node(11, "SaveVideo", (1665, 500, 225, 390), {"video": (10, 0)}, filename_prefix="svd_ours")
    sheet.route(9, "vae", (628, 660), (628, 880), (1395, 880), (1395, 640))
    sheet.route(10, "images", (1627, 520), (1627, 620), (1398, 630))
    sheet.group("The same with svd-nodes", (330, 415, 1575, 490), GREEN)
    return sheet.document()


def _core_chain(sheet: Sheet) -> None:
    name = XT["checkpoint"]
    # Its id for a title: core's own differs between editors, and is too long for the box.
    loader = "ImageOnlyCheckpointLoader"
    sheet.node(20, loader, (345, 0, 260, 98), title=loader, ckpt_name=name)
    sheet.node(21, "VideoLinearCFGGuidance", (675, 0, 265, 58), {"model": (20, 0)}, min_cfg=1)
    links = {"clip_vision": (20, 1), "init_image": (2, 0), "vae": (20, 2)}
    told: Values = LARGE | {"video_frames": 25, "motion_bucket_id": 127, "fps": 7, "augmentation_level": 0.02}
    sheet.node(22, "SVD_img2vid_Conditioning", (675, 130, 265, 220), links, **told)
    links = {"model": (21, 0), "positive": (22, 0), "negative": (22, 1), "latent_image": (22, 2)}
    settings: Values = {"steps": 25, "cfg": 3.0, "sampler_name": "euler", "scheduler": "karras"}
    sheet.node(23, "KSampler", (1000, 0, 270, 262), links, **settings)
    sheet.node(24, "VAEDecode", (1345, 0, 190, 46), {"samples": (23, 0), "vae": (20, 2)})
    sheet.node(25, "CreateVideo", (1345, 180, 190, 80), {"images": (24, 0)}, fps=7)
    sheet.node(26, "SaveVideo", (1600, 0, 290, 360), {"video": (25, 0)}, filename_prefix="svd_core")
    sheet.route(22, "init_image", (312, 500), (312, 260))
    sheet.route(24, "vae", (640, 200), (640, 372), (1305, 372))
    sheet.route(25, "images", (1560, 30), (1560, 105), (1320, 115))
    sheet.group("With the editor's own nodes", (330, -80, 1575, 470), ROSE)


TEMPLATES: dict[str, Callable[[Mapping[str, Info]], dict[str, Any]]] = {
    make.__name__: make
    for make in (quickstart, image_to_video, image_to_video_10_steps, text_to_video, compare_motion, from_core)
}
