"""Training: the scenes, the camera and what it tells, the loop, and the file that came out of it."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from svd_nodes.bench import quality
from svd_nodes.bench.quality import Settings, animate, psnr, row, spearman, structural_distance
from svd_nodes.svd.checkpoint import load
from svd_nodes.svd.edm import LATENT_SCALE
from svd_nodes.training import camera, scenes, vae
from svd_nodes.training.__main__ import main
from svd_nodes.training.draw import Draw
from svd_nodes.training.loop import Limit, Run
from svd_nodes.training.motion import clip_motion, fit, flow, identity, warp
from svd_nodes.training.optim import orthogonalise, rate
from svd_nodes.training.pool import Studio
from svd_nodes.training.presets import TINY, picture_vae, untrained_clip, untrained_unet, video_vae
from svd_nodes.training.ship import ship
from svd_nodes.training.unet import Shape, attend_all_clips_at_once, denoising_loss, question, sigmas

NANO = Path(__file__).parents[1] / "assets/checkpoints/svd_nano.safetensors"


@pytest.fixture(scope="module")
def stock() -> torch.Tensor:
    return scenes.paint(Draw.seeded(5), 4, 256)


def test_a_seed_gives_the_same_canvases() -> None:
    first, again, other = (scenes.paint(Draw.seeded(seed), 2, 64) for seed in (1, 1, 2))
    assert first.dtype == torch.uint8
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_pink_noise_has_the_spectrum_asked_for() -> None:
    field = scenes.pink(Draw.seeded(0), torch.tensor([[1.0, 2.0]]), 128)
    assert torch.allclose(field.std(dim=(-2, -1)), torch.ones(1, 2), atol=1e-4)
    spectrum = torch.fft.rfft2(field).abs().square()
    steepness = (spectrum[..., 2:6, 2:6].mean((-1, -2)) / spectrum[..., 32:36, 32:36].mean((-1, -2))).log()
    assert steepness[0, 1] > 1.5 * steepness[0, 0] > 3


def test_moves_are_as_fast_as_their_bucket_says() -> None:
    bucket = torch.linspace(0, 255, 40)
    draw = Draw.seeded(3)
    move = camera.draw_move(draw, bucket, torch.full((40,), 7.0), 14, 128, 192)
    told = camera.PIXELS_AT_255 * bucket / 255
    assert torch.allclose(camera.displacement(move.matrix(), 128, 192).mean(1), told, rtol=0.02, atol=0.02)


def test_displacement_measured_equals_displacement_told(stock: torch.Tensor) -> None:
    clips = camera.film(Draw.seeded(1), stock, 4, 96, 96)
    for frames, bucket in zip(clips.frames, clips.bucket, strict=True):
        steps, whole = clip_motion(frames)
        measured = flow(steps, 96, 96).norm(dim=-1).mean()
        assert abs(measured - camera.PIXELS_AT_255 * bucket / 255) < 0.1
        back, inside = warp(frames[-1:], whole)
        assert ((back - frames[:1]).square() * inside).mean() < 1e-3


def test_a_foreground_moves_ahead_of_what_is_behind(stock: torch.Tensor) -> None:
    cutouts = scenes.cutout(Draw.seeded(2), 4, 256)
    assert ((cutouts >= 0) & (cutouts <= 1)).all()
    clips = camera.film(Draw.seeded(1), stock, 3, 64, 64, cutouts)
    assert clips.frames.shape == (4, 3, 3, 64, 64)
    assert clips.frames.min() >= 0
    assert clips.frames.max() <= 1


def test_fit_finds_a_known_map(stock: torch.Tensor) -> None:
    image = stock[:1].float() / 255
    known = identity(1, image.device)
    known[0, :, 2] = torch.tensor([5.0, -3.0])
    known[0, 0, 1] = 0.02
    moved, _ = warp(image, known)
    assert torch.allclose(fit(moved, image), known, atol=0.02)


def test_orthogonalised_matrices_have_singular_values_near_one() -> None:
    values = torch.linalg.svdvals(orthogonalise(torch.randn(3, 24, 48)).float())
    assert values.min() > 0.5
    assert values.max() < 1.4


def test_the_rate_rises_stays_and_falls() -> None:
    assert rate(0, 0.0) == 0.01
    assert rate(500, 0.3) == 1.0
    assert rate(900, 0.75) == pytest.approx(0.5)
    assert rate(1000, 1.0) == 0.0


def test_sigmas_follow_the_paper() -> None:
    log = sigmas(Draw.seeded(0), 4000, 1.8, 1.8).log()
    assert log.mean() == pytest.approx(1.8, abs=0.02)
    assert log.std() == pytest.approx(1.8, abs=0.02)


def _vae_run(steps: int) -> tuple[Run, partial[torch.Tensor]]:
    torch.manual_seed(0)
    network = picture_vae(TINY.vae)
    return Run([network], 2e-3, Limit(steps)), partial(vae.picture_loss, network)


@pytest.mark.slow
def test_the_loss_falls_and_a_resumed_run_equals_an_unbroken_one(tmp_path: Path, stock: torch.Tensor) -> None:
    images = [vae.stills(Draw.seeded(i), stock[:2], 32) for i in range(24)]
    noise = torch.zeros(2, 4, 4, 4)

    def train(run: Run, loss: partial[torch.Tensor], upto: int) -> None:
        while run.step < upto:
            run.update(loss, images[run.step % len(images)], noise)

    whole, loss = _vae_run(60)
    train(whole, loss, 60)
    assert whole.losses[-1][1] < 0.8 * whole.losses[0][1]

    half, loss = _vae_run(60)
    train(half, loss, 30)
    half.save(tmp_path)
    assert all(path.stat().st_size < 16 * 2**20 for path in tmp_path.iterdir())
    rest, loss = _vae_run(60)
    assert rest.resume(tmp_path)
    train(rest, loss, 60)
    for a, b in zip(whole.masters + whole.average.values, rest.masters + rest.average.values, strict=True):
        assert torch.equal(a, b)


WORKER = """
import sys, torch
from pathlib import Path
from svd_nodes.training.cards import Cards
from svd_nodes.training.loop import Limit, Run

cards = Cards.join("cpu")
torch.manual_seed(cards.rank)  # other weights: the first card's are everyone's
network = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.SiLU(), torch.nn.Linear(16, 8))
inputs = torch.randn(50, 8, 8, generator=torch.Generator().manual_seed(1))
share = 8 // cards.count
run = Run([network], 1e-2, Limit(40), cards)
def loss(x): return (network(x) - x).square().mean()
while run.share < 1:
    run.update(loss, inputs[run.step][share * cards.rank : share * (cards.rank + 1)])
torch.save((run.masters, run.losses, run.share), Path(sys.argv[1]) / f"{cards.count}-{cards.rank}.pt")
cards.leave()
"""


@pytest.mark.slow
def test_two_cards_with_half_the_clips_each_take_one_cards_steps(tmp_path: Path) -> None:
    worker = tmp_path / "worker.py"
    worker.write_text(WORKER)
    alone = [sys.executable, str(worker), str(tmp_path)]
    together = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *alone[1:]]
    started = [
        subprocess.Popen(words, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
        for words in (alone, together)
    ]
    assert [process.wait() for process in started] == [0, 0]
    one, first, second = (torch.load(tmp_path / f"{name}.pt", weights_only=False) for name in ("1-0", "2-0", "2-1"))
    for a, b, c in zip(one[0], first[0], second[0], strict=True):
        assert torch.equal(b, c)
        assert torch.allclose(a, b, atol=1e-2)  # Muon works in bf16
    assert first[1] == second[1]
    assert first[1][-1][1] == pytest.approx(one[1][-1][1], rel=0.02)
    assert one[1][-1][1] < 0.9 * one[1][0][1]


def test_structure_stays_where_a_picture_is_shifted_a_little_and_goes_with_its_edges(stock: torch.Tensor) -> None:
    image = stock[0, :, :128, :128].float() / 255
    inside = torch.ones(1, 128, 128)
    blurred = F.avg_pool2d(image[None], 9, stride=1, padding=4)[0]
    other = stock[1, :, :128, :128].float() / 255
    same, moved, soft, strange = (
        structural_distance(image, x, inside) for x in (image, image.roll(1, -1), blurred, other)
    )
    assert same == 0
    assert moved < soft < strange
    assert structural_distance(image, other, 0 * inside) != 0  # NaN: there is nothing to compare


def test_whitened_latents_are_white_and_reach_the_decoder_as_before(stock: torch.Tensor) -> None:
    torch.manual_seed(0)
    network = picture_vae(TINY.vae)
    images = vae.stills(Draw.seeded(1), stock.repeat(8, 1, 1, 1), 64)
    with torch.no_grad():
        before = network.decoder.conv_in(network.encode(images[:2]))
        vae.whiten(network, images)
        z = network.encode(images)
        after = network.decoder.conv_in(z[:2])
    flat = (z * LATENT_SCALE).transpose(0, 1).flatten(1)
    assert flat.mean(1).abs().max() < 0.01
    assert torch.allclose(flat.cov(), torch.eye(4), atol=0.01)
    inside = (..., slice(1, -1), slice(1, -1))  # at the border the padding now stands for the mean
    assert torch.allclose(before[inside], after[inside], atol=1e-4)


def test_temporal_layers_start_as_nothing() -> None:
    torch.manual_seed(0)
    pictures = picture_vae(TINY.vae)
    clips = video_vae(TINY.vae, pictures)
    z = torch.randn(3, 4, 4, 4)
    with torch.no_grad():
        assert torch.equal(clips.decode(z, frames=3), pictures.decode(z, frames=1))


@pytest.mark.slow
def test_the_unet_trains_and_its_own_attention_over_time_gives_the_same(stock: torch.Tensor) -> None:
    torch.manual_seed(0)
    draw = Draw.seeded(0)
    studio = Studio(video_vae(TINY.vae, picture_vae(TINY.vae)), draw, stock, scenes.cutout(draw, 2, 256), 64)
    shape = Shape(3, 4, 4, batch=2, clips=16)
    asked = question(studio.samples(shape.batch, shape.frames, shape.height, shape.width), draw, 1.8, 1.8)
    unet, clip = untrained_unet(TINY.unet), untrained_clip(TINY.clip)
    asked = (*asked[:2], torch.randn(2, 3, TINY.clip.image_size, TINY.clip.image_size), *asked[3:])
    loss = partial(denoising_loss, unet, clip)
    run = Run([unet, clip], 2e-3, Limit(1000))
    one_by_one = loss(*asked)
    attend_all_clips_at_once(unet)
    assert torch.allclose(loss(*asked), one_by_one)
    for _ in range(40):
        run.update(loss, *asked)
    assert loss(*asked) < 0.9 * one_by_one


def test_what_is_shipped_loads(tmp_path: Path) -> None:
    torch.manual_seed(0)
    file = tmp_path / "a.safetensors"
    ship(untrained_unet(TINY.unet), video_vae(TINY.vae, picture_vae(TINY.vae)), untrained_clip(TINY.clip), file)
    models = load(file)
    assert models.frames == 14
    assert models.unet.config == TINY.unet
    assert models.metadata["modelspec.license"] == "MIT"
    assert json.loads(models.metadata["svd_nodes.recommended"])["frames"] == models.frames


def test_spearman() -> None:
    assert spearman([1, 2, 3], [10.0, 20.0, 30.0]) == pytest.approx(1)
    assert spearman([1, 2, 3], [3.0, 2.0, 1.0]) == pytest.approx(-1)


def test_the_miniature_moves_a_picture_as_far_as_it_is_told(stock: torch.Tensor) -> None:
    models = load(NANO)
    assert NANO.stat().st_size <= 40e6
    image = stock[1:2, :, :128, :128].float() / 255
    moved = {}
    for bucket in (16, 200):
        clip = animate(models, image, Settings(steps=6, high=1.0, frames=6, bucket=bucket), 0)[0, 0]
        steps, _ = clip_motion(clip)
        moved[bucket] = float(flow(steps, 128, 128).norm(dim=-1).mean())
        assert F.mse_loss(clip[0], image[0]) < 0.02
    assert moved[200] > 2 * moved[16]


def test_a_state_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    run = Run([torch.nn.Linear(4, 4)], 1e-3, Limit(10))
    run.save(tmp_path)
    run.step = 7

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("svd_nodes.training.loop.save_file", full)
        with pytest.raises(OSError, match="No space"):
            run.save(tmp_path)
    again = Run([torch.nn.Linear(4, 4)], 1e-3, Limit(10))
    assert again.resume(tmp_path)
    assert again.step == 0
    assert torch.equal(again.masters[0], run.masters[0])


def test_where_nothing_overlaps_nothing_is_measured() -> None:
    a, b = torch.zeros(3, 4, 4), torch.full((3, 4, 4), 0.1)
    inside = torch.zeros(1, 4, 4)
    assert psnr(a, b, inside) != psnr(a, b, inside)  # NaN
    assert row("back", psnr(a, b, inside), 20).endswith("| not measured |")
    inside[:, 1] = 1
    assert psnr(a, b, inside) == pytest.approx(20)


@pytest.mark.parametrize("option", ["--photographs", "--seeds", "--steps"])
def test_measuring_nothing_is_refused(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        quality.main([option, "0"])
    assert ended.value.code == 2
    assert f"argument {option}: 0 is less than 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["ship"], "ship needs --out"),
        (["curves"], "curves needs --out"),
        (["curves", "--out", "losses.png"], "holds no losses yet"),
        (["ship", "--out", "new.safetensors"], "holds no result of the stage vae yet"),
        (["unet"], "holds no result of the stage vae yet"),
        (["unet", "--start", "none.safetensors"], "there is no file none.safetensors"),
    ],
)
def test_a_stage_without_what_it_needs_is_refused(
    words: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "state"
    with pytest.raises(SystemExit) as ended:
        main([*words, "--state", str(state)])
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err
    assert not state.exists()


def test_an_untrained_network_is_not_shipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "vae.safetensors").touch()
    with pytest.raises(SystemExit):
        main(["ship", "--state", str(tmp_path), "--out", str(tmp_path / "new.safetensors")])
    assert "holds no result of the stage unet yet" in capsys.readouterr().err
