"""The list of the nodes, and what the editor asks for it."""

from .condition import Condition
from .decode import Decode
from .encode import EncodeClip, EncodeLatent
from .host import ComfyExtension, io, serve_page
from .image import FitImage
from .load import LoadCheckpoint
from .needs import ANSWERS
from .sample import Sample
from .sigmas import Sigmas

NODES: list[type[io.ComfyNode]] = [
    LoadCheckpoint,
    FitImage,
    EncodeClip,
    EncodeLatent,
    Condition,
    Sigmas,
    Sample,
    Decode,
]


class Extension(ComfyExtension):
    """What the editor asks for the pack's nodes."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        serve_page(ANSWERS)
        return NODES
