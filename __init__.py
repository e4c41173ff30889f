"""Stable Video Diffusion as graph nodes. This file is what the editor imports; the nodes load when it asks for them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .nodes import Extension

WEB_DIRECTORY = "./web"


async def comfy_entrypoint() -> "Extension":
    from .nodes import Extension

    return Extension()
