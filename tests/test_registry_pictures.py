"""What the registry shows of the pack is as its tool draws it, in the registry's sizes."""

import numpy as np
from PIL import Image
from tiny_files import ROOT

from svd_nodes.tools import registry_pictures

FOLDER = ROOT / "docs" / "registry"


def test_the_icon_is_a_square_of_at_most_400_pixels_as_it_is_drawn():
    shown = Image.open(FOLDER / "icon.png")
    assert (shown.format, shown.size) == ("PNG", (400, 400))
    drawn = np.asarray(registry_pictures.icon()).astype(int)
    assert np.abs(drawn - np.asarray(shown)).max() <= 2, "python -m svd_nodes.tools.registry_pictures docs/registry"


def test_the_banner_is_21_to_9():
    shown = Image.open(FOLDER / "banner.jpg")
    assert shown.format == "JPEG"
    assert shown.width * 9 == shown.height * 21
    assert shown.size == registry_pictures.BANNER
