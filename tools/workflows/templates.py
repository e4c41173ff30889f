"""The templates, one function each: which nodes, where they stand, and how the wires go round them.

A window of 1600 x 900 shows 2055 x 930 of a template as it opens below the bars of newer editors, in older ones, whose
bars take their place from the drawing; 2385 x 1080 at the scale of two rows, and 2550 x 1150 of `compare_motion`.
Vue nodes are higher than those on the canvas, higher still with their advanced inputs or an error, and give a label two
fifths of their width: groups and columns have room for both.
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
BUCKETS = (16, 30, 60, 90)  # with quickstart's seed all four are whole to the last frame
SEED = 3  # of eight at buckets 45, 60, 70 and 90 the one whose tower, edge and horizon are whole to the last frame
FORM: dict[tuple[int, str], Values] = {  # of `_chain`, for those who want no graph
    (2, "image"): {"description": "The picture to animate", "height": 200},
    (6, "motion_bucket_id"): {"description": "How much moves, from 1 to 255"},
    (8, "seed"): {"description": "Another seed, another video"},
}
TWO_ROWS = 0.62  # the scale at which a window has room for the sampler's clip below another row
FIRST, WIDE, BETWEEN = 715, 255, 305  # the columns of `compare_motion`: where, how wide, from one to the next


def quickstart(infos: Mapping[str, Info]) -> dict[str, Any]:
    sheet = Sheet("5f1d1c2e-0e0b-4c52-9a52-3d3a4b9b7a01", infos)
    sheet.note(12, (0, -20, 295, 285), notes.QUICKSTART)
    settings: Values = {"frames": 14, "steps": 12, "max_guidance": 2}
    _chain(sheet, NANO, SMALL, {"motion_bucket_id": 70}, settings, "svd_quickstart", seed=SEED)
    return sheet.document()


def image_to_video(infos: Mapping[str, Info]) -> dict[str, Any]:
    sheet = Sheet("8c0f7c5a-6a33-4f0e-8f42-9f6f0f4b2b02", infos)
    sheet.note(12, (0, -20, 295, 490), notes.IMAGE_TO_VIDEO)
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
    motion: dict[str, Any],
    settings: dict[str, Any],
    prefix: str,
    sigmas: bool = False,
    seed: int = 0,
) -> None:
    """A picture from a file becomes a video: nodes 1 to 6 and 8 to 11 in two rows.

    The sampler has a column of its own: it grows when it shows the clip. Save Video holds a square
    preview of its own width; newer editors show it above their minimap in a window of 1600 x 757.
    """
    told = 575 if sigmas else 475
    sheet.node(1, "StableVideoLoadCheckpoint", (325, 0, 280, 122), **checkpoint)
    sheet.node(2, "LoadImage", (15, 595, 275, 270), **PICTURE)
    sheet.node(3, "StableVideoFitImage", (325, 595, 280, 110), {"image": (2, 0)}, **size)
    sheet.node(4, "StableVideoEncodeClip", (680, 75, 270, 50), {"clip": (1, 1), "image": (3, 0)})
    sheet.node(5, "StableVideoEncodeLatent", (680, 215, 270, 130), {"vae": (1, 2), "image": (3, 0)}, seed=seed)
    told_at = (990, 55 if sigmas else 75, 270, 110)
    sheet.node(6, "StableVideoCondition", told_at, {"embedding": (4, 0), "image_latent": (5, 0)}, **motion)
    links = {"model": (1, 0), "conditioning": (6, 0)}
    if sigmas:
        sheet.node(7, "StableVideoSigmas", (990, 250, 270, 160), schedule="align-your-steps", steps=10)
        links["sigmas"] = (7, 0)
    sheet.node(8, "StableVideoSample", (1315, 0, 255, 290), links, **settings, seed=seed)
    sheet.node(9, "StableVideoDecode", (680, 595, 270, 80), {"vae": (1, 2), "latent": (8, 0)})
    sheet.node(10, "CreateVideo", (990, 595, 270, 80), {"images": (9, 0)}, fps=7)
    sheet.node(11, "SaveVideo", (1650, 0, 335, 450), {"video": (10, 0)}, filename_prefix=prefix)
    sheet.route(9, "vae", (642, 130), (642, 490))
    sheet.route(9, "latent", (1602, 110), (1602, 775), (650, 765))
    sheet.route(11, "video", (1287, 685), (1305, 800), (1618, 800), (1618, 330))
    sheet.group("1 · Model", (310, -80, 310, 305), BLUE)
    sheet.group("2 · Picture", (0, 515, 620, 405), BLUE)
    sheet.group("3 · What the sampler is told", (665, -80, 610, told), GREEN)
    sheet.group("4 · Sample", (1300, -80, 285, 825), GOLD)
    sheet.group("5 · Decode", (665, 515, 610, 230), GOLD)
    sheet.group("6 · Save", (1635, -80, 365, 545), ROSE)
    sheet.form(FORM, output=11)


def text_to_video(infos: Mapping[str, Info]) -> dict[str, Any]:
    """The editor's own text-to-image in the upper row, the video in the lower."""
    sheet = Sheet("2d7b9c14-58ae-4b0f-9a61-c07f3e51d404", infos, TWO_ROWS)
    sheet.note(18, (0, -20, 295, 370), notes.TEXT_TO_VIDEO)
    _picture_from_words(sheet)
    sheet.node(1, "StableVideoLoadCheckpoint", (32, 480, 280, 122), **XT)
    sheet.node(3, "StableVideoFitImage", (32, 732, 280, 110), {"image": (16, 0)}, **LARGE)
    sheet.node(4, "StableVideoEncodeClip", (375, 575, 270, 50), {"clip": (1, 1), "image": (3, 0)})
    sheet.node(5, "StableVideoEncodeLatent", (375, 715, 270, 130), {"vae": (1, 2), "image": (3, 0)})
    sheet.node(6, "StableVideoCondition", (685, 575, 270, 110), {"embedding": (4, 0), "image_latent": (5, 0)})
    sheet.node(8, "StableVideoSample", (1010, 500, 255, 290), {"model": (1, 0), "conditioning": (6, 0)})
    sheet.node(9, "StableVideoDecode", (1310, 500, 260, 80), {"vae": (1, 2), "latent": (8, 0)})
    sheet.node(10, "CreateVideo", (1310, 710, 260, 80), {"images": (9, 0)}, fps=7)
    sheet.node(11, "SaveVideo", (1650, 500, 335, 390), {"video": (10, 0)}, filename_prefix="svd_text")
    sheet.route(3, "image", (1717, 60), (1717, 380), (6, 380), (6, 695))
    sheet.route(9, "vae", (344, 620), (344, 401), (1287, 401), (1287, 620))
    sheet.route(10, "images", (1596, 520), (1596, 645), (1290, 658))
    sheet.group("2 · Model and size", (18, 420, 310, 485), BLUE)
    sheet.group("3 · What the sampler is told", (360, 420, 610, 485), GREEN)
    sheet.group("4 · Sample", (995, 420, 285, 645), GOLD)  # with room for the clip
    sheet.group("5 · Decode", (1295, 420, 290, 485), GOLD)
    sheet.group("6 · Save", (1635, 420, 365, 645), ROSE)
    return sheet.document()


def _picture_from_words(sheet: Sheet) -> None:
    words = "a lighthouse on a rocky headland at sunset, waves, drifting clouds, photograph"
    sheet.node(12, "CheckpointLoaderSimple", (340, 0, 330, 98), ckpt_name="sd_xl_base_1.0.safetensors")
    sheet.node(13, "EmptyLatentImage", (340, 190, 330, 106), **LARGE)
    sheet.node(14, "CLIPTextEncode", (740, 60, 320, 100), {"clip": (12, 1)}, "What to show", text=words)
    avoided = "text, watermark, blurry, people"
    sheet.node(15, "CLIPTextEncode", (740, 215, 320, 80), {"clip": (12, 1)}, "What to avoid", text=avoided)
    links = {"model": (12, 0), "positive": (14, 0), "negative": (15, 0), "latent_image": (13, 0)}
    settings: Values = {"steps": 25, "cfg": 7.0, "sampler_name": "euler", "scheduler": "normal"}
    sheet.node(17, "KSampler", (1130, 0, 280, 262), links, **settings)
    sheet.node(16, "VAEDecode", (1470, 0, 230, 46), {"samples": (17, 0), "vae": (12, 2)})
    sheet.node(19, "PreviewImage", (1745, 0, 240, 300), {"images": (16, 0)})
    sheet.route(17, "latent_image", (692, 300), (710, 326), (1090, 326))
    sheet.route(16, "vae", (698, 160), (698, 344), (1440, 344))
    sheet.group("1 · A picture from words", (325, -80, 1675, 440), GREEN)


def compare_motion(infos: Mapping[str, Info]) -> dict[str, Any]:
    """A column for each motion bucket; what they share stands to their left, what joins them to their right."""
    sheet = Sheet("7e0c52d8-1f4b-4a86-b2f3-6d95c8a1e505", infos, scale=0.58)
    sheet.note(30, (0, 920, 620, 190), notes.COMPARE_MOTION)
    sheet.node(1, "StableVideoLoadCheckpoint", (30, 0, 280, 122), **NANO)
    sheet.node(2, "LoadImage", (30, 230, 280, 290), **PICTURE)
    sheet.node(3, "StableVideoFitImage", (30, 605, 280, 140), {"image": (2, 0)}, **SMALL)
    sheet.node(4, "StableVideoEncodeClip", (370, 235, 270, 50), {"clip": (1, 1), "image": (3, 0)})
    sheet.node(5, "StableVideoEncodeLatent", (370, 385, 270, 130), {"vae": (1, 2), "image": (3, 0)}, seed=SEED)
    sheet.route(3, "image", (318, 300), (318, 559), (6, 565))
    for column, bucket in enumerate(BUCKETS):
        _column(sheet, column, bucket)
    _side_by_side(sheet)
    sheet.group("1 · Model and picture", (15, -80, 310, 870), BLUE)
    sheet.group("2 · Encoded", (355, 155, 300, 400), GREEN)
    sheet.group("3 · Four amounts of motion", (670, -80, 1255, 1220), GOLD)
    sheet.group("4 · Side by side", (1955, -80, 590, 925), ROSE)
    return sheet.document()


def _column(sheet: Sheet, column: int, bucket: int) -> None:
    x, first = FIRST + BETWEEN * column, 10 + 3 * column
    left, right = x - 25, x + WIDE + 20
    links = {"embedding": (4, 0), "image_latent": (5, 0)}
    sheet.node(first, "StableVideoCondition", (x, 35, WIDE, 140), links, f"Motion {bucket}", motion_bucket_id=bucket)
    links = {"model": (1, 0), "conditioning": (first, 0)}
    settings: Values = {"frames": 14, "steps": 12, "max_guidance": 2, "seed": SEED}
    sheet.node(first + 1, "StableVideoSample", (x, 255, WIDE, 366), links, **settings)
    links = {"vae": (1, 2), "latent": (first + 1, 0)}
    sheet.node(first + 2, "StableVideoDecode", (x, 940, WIDE, 110), links)
    taps = [FIRST + BETWEEN * i - 45 for i in range(column + 1)]
    sheet.route(first, "embedding", (670, 150), *((tap, -32) for tap in taps))
    sheet.route(first, "image_latent", (685, 150), *((tap + 20, -12) for tap in taps))
    sheet.route(first + 1, "model", (336, 208), *((tap, 208) for tap in taps))
    sheet.route(first + 1, "conditioning", (right, 80), (right, 200), (left, 200))
    sheet.route(first + 2, "vae", (345, 180), (345, 870), *((tap, 892) for tap in taps))
    sheet.route(first + 2, "latent", (right, 320), (right, 874), (left, 874))


def _side_by_side(sheet: Sheet) -> None:
    look: Values = {"spacing_width": 8, "spacing_color": "black"}
    for id, title, y, pair in ((22, "Top", 410, (12, 15)), (23, "Bottom", 650, (18, 21))):
        links = {"image1": (pair[0], 0), "image2": (pair[1], 0)}
        sheet.node(id, "ImageStitch", (1970, y, 265, 175), links, title, **look)
    for column, (id, name) in enumerate(((22, "image1"), (22, "image2"), (23, "image1"))):
        right, below, up = FIRST + BETWEEN * column + WIDE + 20, 1098 + 13 * column, 1949 - 8 * column
        sheet.route(id, name, (right, 980), (right, below), (up, below), (up, 700))
    links = {"image1": (22, 0), "image2": (23, 0)}
    sheet.node(24, "ImageStitch", (2265, 410, 265, 175), links, "All four", direction="down", **look)
    sheet.node(25, "CreateVideo", (2265, 670, 265, 80), {"images": (24, 0)}, fps=7)
    sheet.node(26, "SaveVideo", (1970, 0, 560, 330), {"video": (25, 0)}, filename_prefix="svd_compare_motion")
    sheet.route(25, "images", (2538, 500), (2538, 608), (2250, 622))
    sheet.route(26, "video", (2541, 640), (2541, 366), (1963, 356), (1961, 70))


def from_core(infos: Mapping[str, Info]) -> dict[str, Any]:
    """The editor's own SVD nodes above, ours below, one picture for both."""
    sheet = Sheet("c94e1a77-0d3e-4f6b-8a2c-15b7d2f0a606", infos, TWO_ROWS)
    sheet.note(30, (0, -20, 295, 430), notes.FROM_CORE)
    sheet.node(2, "LoadImage", (15, 520, 275, 330), **PICTURE)
    sheet.group("One picture for both", (0, 440, 305, 440), BLUE)
    _core_chain(sheet)
    sheet.node(1, "StableVideoLoadCheckpoint", (330, 490, 276, 122), **XT)
    sheet.node(3, "StableVideoFitImage", (330, 742, 276, 110), {"image": (2, 0)}, **LARGE)
    sheet.node(4, "StableVideoEncodeClip", (644, 590, 265, 50), {"clip": (1, 1), "image": (3, 0)})
    sheet.node(5, "StableVideoEncodeLatent", (644, 725, 265, 130), {"vae": (1, 2), "image": (3, 0)})
    sheet.node(6, "StableVideoCondition", (929, 590, 248, 110), {"embedding": (4, 0), "image_latent": (5, 0)})
    sheet.node(8, "StableVideoSample", (1197, 500, 252, 290), {"model": (1, 0), "conditioning": (6, 0)})
    sheet.node(9, "StableVideoDecode", (1484, 500, 264, 80), {"vae": (1, 2), "latent": (8, 0)})
    sheet.node(10, "CreateVideo", (1484, 710, 264, 80), {"images": (9, 0)}, fps=7)
    sheet.node(11, "SaveVideo", (1778, 500, 235, 390), {"video": (10, 0)}, filename_prefix="svd_ours")
    sheet.route(9, "vae", (625, 660), (625, 460), (1466, 460), (1466, 640))
    sheet.route(10, "images", (1763, 520), (1763, 645), (1468, 658))
    sheet.group("The same with svd-nodes", (318, 415, 1705, 650), GREEN)  # with room for the clip
    return sheet.document()


def _core_chain(sheet: Sheet) -> None:
    name = XT["checkpoint"]
    # Its id for a title: core's own differs between editors, and is too long for the box.
    loader = "ImageOnlyCheckpointLoader"
    sheet.node(20, loader, (330, 0, 275, 98), title=loader, ckpt_name=name)
    sheet.node(21, "VideoLinearCFGGuidance", (665, 0, 270, 58), {"model": (20, 0)}, min_cfg=1)
    links = {"clip_vision": (20, 1), "init_image": (2, 0), "vae": (20, 2)}
    told: Values = LARGE | {"video_frames": 25, "motion_bucket_id": 127, "fps": 7, "augmentation_level": 0.02}
    sheet.node(22, "SVD_img2vid_Conditioning", (665, 130, 270, 220), links, **told)
    links = {"model": (21, 0), "positive": (22, 0), "negative": (22, 1), "latent_image": (22, 2)}
    settings: Values = {"steps": 25, "cfg": 3.0, "sampler_name": "euler", "scheduler": "karras"}
    sheet.node(23, "KSampler", (1010, 0, 270, 262), links, **settings)
    sheet.node(24, "VAEDecode", (1345, 0, 230, 46), {"samples": (23, 0), "vae": (20, 2)})
    sheet.node(25, "CreateVideo", (1345, 180, 230, 80), {"images": (24, 0)}, fps=7)
    sheet.node(26, "SaveVideo", (1640, 0, 290, 360), {"video": (25, 0)}, filename_prefix="svd_core")
    sheet.route(22, "init_image", (311, 500), (311, 260))
    sheet.route(24, "vae", (635, 200), (635, 372), (1315, 372))
    sheet.route(25, "images", (1606, 30), (1606, 105), (1325, 118))
    sheet.group("With the editor's own nodes", (318, -80, 1705, 482), ROSE)


TEMPLATES: dict[str, Callable[[Mapping[str, Info]], dict[str, Any]]] = {
    make.__name__: make
    for make in (quickstart, image_to_video, image_to_video_10_steps, text_to_video, compare_motion, from_core)
}
