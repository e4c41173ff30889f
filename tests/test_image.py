"""Pictures of every kind in, and the exact preprocessing of the original."""

import numpy as np
import pytest
import torch
from PIL import Image

from svd_nodes.svd import image as image_module
from svd_nodes.svd.clip import clip_pixels
from svd_nodes.svd.errors import InputError
from svd_nodes.svd.image import FITS, fit_image, read_picture, rgb, squash, to_pil, to_rgb, to_tensor


def gradient(width: int, height: int) -> Image.Image:
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([x, y, 255 - x], axis=-1).astype(np.uint8))


@pytest.mark.parametrize("size", [(1024, 576), (300, 500), (224, 224), (100, 60), (225, 1000)])
def test_squash_equals_diffusers(size):
    """diffusers' copy of kornia's resize is the oracle; it normalises to -1..1 first, which changes rounding only."""
    from diffusers.pipelines.stable_video_diffusion.pipeline_stable_video_diffusion import _resize_with_antialiasing

    image = torch.rand(2, 3, size[1], size[0], generator=torch.Generator().manual_seed(0))
    expected = (_resize_with_antialiasing(image * 2 - 1, (224, 224)) + 1) / 2
    torch.testing.assert_close(squash(image, 224), expected, rtol=0, atol=1e-5)


def test_clip_pixels_equal_diffusers():
    from diffusers.pipelines.stable_video_diffusion.pipeline_stable_video_diffusion import _resize_with_antialiasing
    from transformers import CLIPImageProcessor

    image = to_tensor(gradient(320, 180))
    resized = (_resize_with_antialiasing(image * 2 - 1, (224, 224)) + 1) / 2
    off = {"do_resize": False, "do_center_crop": False, "do_rescale": False}
    expected = CLIPImageProcessor()(images=resized, return_tensors="pt", do_normalize=True, **off).pixel_values
    torch.testing.assert_close(clip_pixels(image), expected, rtol=0, atol=1e-5)


def test_clip_sees_the_edges():
    """A centre crop, the common mistake, would not notice what happens at the left edge of a wide picture."""
    image = torch.zeros(1, 3, 100, 300)
    image[..., :20] = 1
    assert clip_pixels(image)[..., 0].mean() > clip_pixels(image)[..., 100].mean() + 1


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", [(64, 48), (48, 64), (200, 40), (7, 3), (1, 1)])
def test_fit_gives_the_size_asked_for(fit, size):
    fitted = fit_image(torch.rand(2, 3, size[1], size[0]), 40, 24, fit)
    assert fitted.shape == (2, 3, 24, 40)
    assert fitted.min() >= 0
    assert fitted.max() <= 1


def test_a_picture_of_the_right_size_is_untouched():
    image = torch.rand(1, 3, 24, 40)
    for fit in FITS:
        assert torch.equal(fit_image(image, 40, 24, fit), image)


def test_crop_cuts_evenly_and_keeps_the_shape():
    image = to_tensor(gradient(400, 100))
    fitted = fit_image(image, 100, 100, "crop")
    assert fitted[0, 0, :, 0].mean() == pytest.approx(150 / 400, abs=0.01)
    assert fitted[0, 0, :, -1].mean() == pytest.approx(250 / 400, abs=0.01)


def test_pad_keeps_everything_with_black_around():
    image = torch.ones(1, 3, 20, 80)
    fitted = fit_image(image, 40, 40, "pad")
    assert fitted[..., 15:25, :].min() > 0.99
    assert fitted[..., :15, :].max() == 0
    assert fitted[..., 25:, :].max() == 0


def test_shrinking_is_antialiased():
    stripes = torch.zeros(1, 3, 64, 64)
    stripes[..., ::2] = 1
    fitted = fit_image(stripes, 24, 24, "stretch")
    assert (fitted - 0.5).abs()[..., 2:-2].max() < 0.1


def test_pictures_of_every_mode(tmp_path):
    color = gradient(20, 10)
    for mode in ("RGB", "L", "P", "CMYK", "1", "YCbCr", "HSV", "LAB"):
        assert to_rgb(color.convert("RGB").convert(mode)).mode == "RGB"
    grey = color.convert("L")
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    assert deep.mode.startswith("I")
    deep.save(tmp_path / "deep.png")
    assert np.abs(np.asarray(read_picture(tmp_path / "deep.png"))[..., 0].astype(int) - np.asarray(grey)).max() <= 1
    floats = Image.fromarray(np.asarray(grey, np.float32) / 255)
    assert np.abs(np.asarray(to_rgb(floats))[..., 1].astype(int) - np.asarray(grey)).max() <= 1


def test_a_dark_16_bit_picture_stays_dark(tmp_path):
    Image.fromarray(np.full((8, 8), 199, np.uint16)).save(tmp_path / "dark.png")
    assert np.asarray(read_picture(tmp_path / "dark.png")).max() <= 1


def test_transparency_is_composited_on_white():
    half = Image.new("RGBA", (4, 4), (255, 0, 0, 128))
    assert np.asarray(to_rgb(half))[0, 0].tolist() == pytest.approx([255, 127, 127], abs=1)
    tensor = torch.tensor([1.0, 0, 0, 0.5]).reshape(1, 4, 1, 1)
    assert rgb(tensor).flatten().tolist() == [1.0, 0.5, 0.5]
    palette = Image.new("P", (4, 4), 0)
    palette.info["transparency"] = 0
    assert np.asarray(to_rgb(palette)).min() == 255


def test_exif_rotation_is_honoured(tmp_path):
    picture = gradient(40, 20)
    exif = picture.getexif()
    exif[0x0112] = 6  # turn by 90 degrees to see it upright
    picture.save(tmp_path / "turned.jpg", exif=exif)
    assert read_picture(tmp_path / "turned.jpg").size == (20, 40)


def test_the_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "green", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert np.asarray(read_picture(tmp_path / "moving.gif"))[0, 0].tolist() == [255, 0, 0]


def test_one_channel_and_tensor_round_trip():
    assert rgb(torch.rand(2, 1, 4, 4)).shape == (2, 3, 4, 4)
    picture = gradient(13, 7)
    assert np.array_equal(np.asarray(to_pil(to_tensor(picture))[0]), np.asarray(picture))


def test_bad_picture_files(tmp_path):
    good = tmp_path / "good.png"
    gradient(64, 64).save(good)
    cases = {
        "missing.png": (None, "There is no picture at"),
        "empty.png": (b"", "cannot be read as a picture"),
        "words.png": (b"not a picture", "cannot be read as a picture"),
        "cut.png": (good.read_bytes()[: good.stat().st_size // 2], "cannot be read as a picture"),
    }
    for name, (content, words) in cases.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=words) as caught:
            read_picture(tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="is a folder: give a picture in it"):
        read_picture(tmp_path)


def test_a_picture_bomb_is_refused(tmp_path, monkeypatch):
    gradient(64, 64).save(tmp_path / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(InputError, match="too many pixels"):
        read_picture(tmp_path / "large.png")


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (torch.rand(3, 8, 8), "b, c, h, w"),
        (torch.rand(1, 2, 8, 8), "1, 3 or 4 channels"),
        (torch.rand(1, 3, 0, 8), "no pixels"),
        (torch.full((1, 3, 8, 8), float("nan")), "NaN"),
        (torch.full((1, 3, 8, 8), float("inf")), "NaN or infinite"),
    ],
)
def test_bad_tensors(image, words):
    with pytest.raises(InputError, match=words):
        fit_image(image, 8, 8)


def test_bad_fits():
    image = torch.rand(1, 3, 8, 8)
    with pytest.raises(InputError, match="fit 'zoom' is unknown: choose one of crop, pad, stretch"):
        fit_image(image, 8, 8, "zoom")
    with pytest.raises(InputError, match="has no pixels"):
        fit_image(image, 0, 8)
    with pytest.raises(InputError, match="0 x 5"):
        to_rgb(Image.new("RGB", (0, 5)))
    with pytest.raises(InputError, match="NaN"):
        to_rgb(Image.fromarray(np.full((2, 2), np.nan, np.float32)))


@pytest.mark.parametrize(("w", "h"), [(2, 4000), (4000, 2)])
def test_a_ribbon_is_cut_before_it_is_enlarged(w, h, monkeypatch):
    """Its whole length would be 25 GB at the frame's width."""
    sizes = []
    enlarge = image_module.resize
    monkeypatch.setattr(image_module, "resize", lambda x, *size: sizes.append(size) or enlarge(x, *size))
    ramp = torch.linspace(0, 1, w * h).view(1, 1, h, w).expand(1, 3, h, w)
    fitted = fit_image(ramp, 1024, 576)
    assert fitted.shape == (1, 3, 576, 1024)
    assert fitted.mean() == pytest.approx(0.5, abs=0.01)
    assert max(sizes[0]) < 40_000
