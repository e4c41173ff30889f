"""Mutated checkpoints: `inspect` ends with a report or a sentence, and `load` agrees with it.

    python -m svd_nodes.tests.fuzz.checkpoints --count 500 --seed 0
    python -m svd_nodes.tests.fuzz.checkpoints --seed 0 --only 123 --folder DIR    # makes one case, shows what it does

A case is a whole checkpoint of zeros (so tensors cost nothing) with one to three things changed: a value of a config,
an index or a header, a tensor's name, shape or dtype, bytes, or a file itself.
"""

import argparse
import json
import os
import random
import shutil
import struct
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from svd_nodes.headless.checkpoints import inspect
from svd_nodes.svd.checkpoint import expected_shapes, load, open_checkpoint, save
from svd_nodes.svd.config import BOUNDS, CHOICES, CLIPConfig, UNetConfig, VAEConfig
from svd_nodes.svd.errors import InputError
from svd_nodes.svd.pretrained import FeatureExtractor, Scheduler
from svd_nodes.tools.random_checkpoint import PRESETS, random_models

from .worker import Answer, Judge, answers

Change = Callable[[random.Random, Path], None]

NUMBERS = (0, 1, -1, 2, 3, 5, 8, 9, 31, 32, 33, 48, 64, 255, 256, 4096, 65535, 65537, 10**9, 10**12, 10**30, 10**400)
FLOATS = (0.5, -0.0, 1e-30, 1e30, 1e300, float("nan"), float("inf"), float("-inf"))
TEXTS = (
    "",
    "x",
    "gelu",
    "nonsense",
    "é\n\x1b[31m",
    "\ud800",
    "a" * 5000,
    "lora." * 9000,
    "..",
    "../x",
    "a\0b",
    "9" * 20,
)
NESTED = [json.loads("[" * depth + "]" * depth) for depth in (5, 100, 700)]
ODD = (
    *(None, True, False, *NUMBERS, *FLOATS, *TEXTS, [], [0], [32], [32] * 5000, [[32]], ["x"] * 3),
    *({}, {"a": 1}, {"weight_map": {}}, *NESTED),
)
MOST = 1 << 26  # bytes of a file that is still changed
BITS = {"F64": 64, "F32": 32, "F16": 16, "BF16": 16, "F8_E4M3": 8, "F8_E5M2": 8, "I8": 8, "U8": 8, "I64": 64, "BOOL": 8}
WRAPPERS = ("module.", "unet.", "_orig_mod.", "model.", "module._orig_mod.")
ENDS = (".scale_weight", ".weight_scale", ".absmax", ".SCB", ".lora_A.weight", ".position_ids", ".bias")


# ---- JSON


def odd_json(rng: random.Random, values: Any) -> Any:
    """The same with one place changed."""
    places = list(_places(values))
    holder, key = rng.choice(places) if places else ({"": values}, "")
    match rng.randrange(6):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, list):
            holder.insert(key, holder[key])
        case 2 if isinstance(holder[key], int | float):
            holder[key] = rng.choice((holder[key] + 1, holder[key] - 1, holder[key] * 2, holder[key] / 2, -holder[key]))
        case 3:
            other, place = rng.choice(places)
            if key in holder if isinstance(holder, dict) else key < len(holder):
                holder[key] = other[place]
        case 4 if isinstance(holder, dict):
            holder[rng.choice(TEXTS)] = holder.pop(key)
        case _:
            holder[key] = rng.choice(ODD)
    return values


def _places(values: Any) -> Any:
    pairs = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    for key, value in list(pairs):
        yield values, key
        if not isinstance(value, list) or len(value) < 50:
            yield from _places(value)


def change_json(rng: random.Random, path: Path) -> None:
    try:
        values = json.loads(path.read_text())
        path.write_text(json.dumps(odd_json(rng, values)), errors="surrogatepass")
    except (ValueError, RecursionError, OverflowError):  # an earlier change left no JSON
        change_bytes(rng, path)


# ---- headers and tensors


def read(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    return json.loads(content[8 : 8 + struct.unpack("<Q", content[:8])[0]])


def write(path: Path, header: dict[str, Any], size: int | None = None) -> None:
    """A file of zeros. size: of the numbers; None, as the header tells."""
    text = json.dumps(header).encode(errors="surrogatepass")
    if size is None:
        size = max((info["data_offsets"][1] for name, info in header.items() if name != "__metadata__"), default=0)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + size)


def lay_out(header: dict[str, Any]) -> dict[str, Any]:
    """The same tensors one after the other, in their own sizes."""
    start, result = 0, {name: value for name, value in header.items() if name == "__metadata__"}
    for name, info in header.items():
        if name != "__metadata__":
            numbers = 1
            for side in info["shape"]:
                numbers *= side
            stop = start + numbers * BITS[info["dtype"]] // 8
            result[name], start = {**info, "data_offsets": [start, stop]}, stop
    return result


def change_tensors(rng: random.Random, path: Path) -> None:
    """Another set of tensors, in a file that is sound in itself."""
    header = read(path)
    names = [name for name in header if name != "__metadata__"]
    if not names:
        return
    name = rng.choice(names)
    info = header[name]
    match rng.randrange(9):
        case 0:
            del header[name]
        case 1:
            header[rng.choice(TEXTS) + name] = header.pop(name)
        case 2:
            header[rng.choice(names).rpartition(".")[0] + rng.choice(ENDS)] = dict(info)
        case 3:
            info["shape"] = rng.choice(
                ([], [0], [1], info["shape"][::-1], [*info["shape"], 1], [2 * n for n in info["shape"]])
            )
        case 4:
            info["dtype"] = rng.choice(list(BITS))
        case 5:
            dtype = rng.choice(list(BITS))
            header = {k: {**v, "dtype": dtype} if k != "__metadata__" else v for k, v in header.items()}
        case 6:
            wrapper = rng.choice(WRAPPERS)
            header = {k if k == "__metadata__" else wrapper + k: v for k, v in header.items()}
        case 7:
            beginning = ".".join(name.split(".")[: rng.randint(1, 4)])
            header = {k: v for k, v in header.items() if not k.startswith(beginning)}
        case 8:
            header.pop("__metadata__", None)
    write(path, lay_out(header))


def change_header(rng: random.Random, path: Path) -> None:
    """A header that does not describe the file any more."""
    header = read(path)
    size = path.stat().st_size - 8 - struct.unpack("<Q", path.read_bytes()[:8])[0]
    metadata = header.get("__metadata__", {})
    if "svd_nodes.config" in metadata and rng.random() < 0.5:
        metadata["svd_nodes.config"] = json.dumps(odd_json(rng, json.loads(metadata["svd_nodes.config"])))
    else:
        header = odd_json(rng, header)
    write(path, header if isinstance(header, dict) else {}, size)


# ---- bytes and files


def change_bytes(rng: random.Random, path: Path) -> None:
    content = bytearray(path.read_bytes())
    match rng.randrange(6):
        case 0:
            content = content[: rng.randrange(len(content) + 1)]
        case 1:
            content += rng.randbytes(rng.choice((1, 8, 1000)))
        case 2:
            for _ in range(rng.choice((1, 3, 30))):
                place = rng.randrange(min(len(content), 20_000)) if content else 0
                content[place : place + 1] = rng.randbytes(1)
        case 3:
            content[:8] = struct.pack(
                "<Q", rng.choice((0, 1, 7, 2**31, 2**62, 2**64 - 1, len(content), len(content) - 8))
            )
        case 4:
            place = rng.randrange(len(content) + 1)
            content[place:place] = rng.choice((b"[" * 5000, b'{"a":' * 5000, b"9" * 6000, b"\0", b"\xff\xfe", b"\n"))
        case 5:
            content = bytearray(
                rng.choice((b"", b"null", b"[]", b"{}", b"PK\x03\x04", b"<html>", b"GGUF", b"\x80\x02"))
            )
    path.write_bytes(content)


def change_file(rng: random.Random, path: Path) -> None:
    path.unlink()
    match rng.randrange(6):
        case 0:
            path.mkdir()
        case 1:
            os.mkfifo(path)
        case 2:
            path.symlink_to(rng.choice(("/dev/zero", "/dev/null", path.name, "nowhere", "/")))
        case 3:
            with open(path, "wb") as file:
                file.write(struct.pack("<Q", rng.choice((12 << 30, 1 << 20))) + b"{")
                file.truncate(13 << 30)
        case 4:
            path.touch()


def sharded(rng: random.Random, path: Path) -> None:
    """The file's tensors in two, and an index of them, which may be wrong."""
    header = read(path)
    names = [name for name in header if name != "__metadata__"]
    places = {name: f"model-0000{1 + (i % 2)}-of-00002.safetensors" for i, name in enumerate(names)}
    for shard in set(places.values()):
        write(path.with_name(shard), lay_out({name: header[name] for name in names if places[name] == shard}))
    index = {"metadata": {}, "weight_map": places}
    path.with_name(path.name + ".index.json").write_text(json.dumps(index))
    if rng.random() < 0.7:
        rng.choice((change_json, change_bytes))(rng, path.with_name(path.name + ".index.json"))


def moved(rng: random.Random, path: Path) -> None:
    """Another variant, one more variant, or another part's file."""
    stem = path.name.removesuffix(".safetensors")
    target = path.with_name(f"{stem}.{rng.choice(('fp16', 'bf16', 'non_ema', 'a b'))}.safetensors")
    rng.choice((path.rename, partial(shutil.copy, path)))(target)


# ---- cases

ON_WEIGHTS: tuple[Change, ...] = (*[change_tensors] * 6, *[change_header] * 3, change_bytes, change_file)
ON_FOLDER: tuple[Change, ...] = (*ON_WEIGHTS, sharded, moved)
ON_JSON: tuple[Change, ...] = (*[change_json] * 8, change_bytes, change_file)


def consistent(rng: random.Random, folder: Path) -> Path:
    """A whole checkpoint of any shape, of which nothing is damaged."""
    levels = rng.randint(1, 3)
    each = lambda *values: tuple(rng.choice(values) for _ in range(levels))  # noqa: E731
    down, up = (tuple(rng.choices(CHOICES[f"{way}_block_types"], k=levels)) for way in ("down", "up"))
    scalars = rng.choice(((4, 4, 4), (6,), (2, 4, 4)))
    width = rng.choice((8, 12))
    unet = UNetConfig(
        block_out_channels=each(32, 64),
        layers_per_block=each(1, 2),
        num_attention_heads=each(1, 2, 4),
        down_block_types=down,
        up_block_types=up,
        transformer_layers_per_block=each(1, 2),
        cross_attention_dim=(width,) * levels,
        addition_time_embed_dim=scalars,
        projection_class_embeddings_input_dim=sum(scalars),
    )
    layers = rng.randint(1, 2)
    temporal = len(scalars) == 3 and scalars[0] == scalars[1]
    vae = VAEConfig(
        block_out_channels=each(32, 64),
        layers_per_block=layers,
        decoder_mid_layers=layers,
        scaling_factor=rng.choice((1, *BOUNDS["scaling_factor"])),
        temporal_decoder=temporal,
        quant_conv=rng.random() < 0.8,
    )
    heads = rng.choice((1, 2, 3))
    clip = CLIPConfig(
        *(heads * 5, rng.randint(1, 40), rng.randint(1, 2), heads, rng.randint(16, 40), rng.randint(1, 16), width),
        hidden_act=rng.choice(CHOICES["hidden_act"]),
        layer_norm_eps=rng.choice(BOUNDS["layer_norm_eps"]),
    )
    models = random_models(unet, vae, clip, rng.randrange(9))
    in_folder = temporal and rng.random() < 0.5
    path = folder / ("model" if in_folder else "model.safetensors")
    save(models, path, "diffusers" if in_folder else "single")
    return path


def make(rng: random.Random, bases: Path, folder: Path) -> tuple[Path, str | None]:
    """One case in a folder, and the variant to ask for."""
    if rng.random() < 0.05:
        return consistent(rng, folder), None
    if rng.random() < 0.45:
        path = Path(shutil.copy(bases / "tiny.safetensors", folder))
        if rng.random() < 0.5:  # as other people's are: without our metadata
            write(path, {name: info for name, info in read(path).items() if name != "__metadata__"})
        for _ in range(rng.choice((1, 1, 2, 3))):
            _try(rng, rng.choice(ON_WEIGHTS), path)
        return path, None
    path = Path(shutil.copytree(bases / "tiny", folder / "tiny"))
    for _ in range(rng.choice((1, 1, 2, 3))):
        files = sorted(file for file in path.rglob("*.*") if file.is_file() and not file.is_symlink())
        weights = rng.random() < 0.4
        chosen = rng.choice([file for file in files if (file.suffix == ".safetensors") == weights] or files)
        _try(rng, rng.choice(ON_FOLDER if chosen.suffix == ".safetensors" else ON_JSON), chosen)
    return path, rng.choice((None, None, None, "fp16"))


def _try(rng: random.Random, change: Change, path: Path) -> None:
    """A change, unless an earlier one left nothing that it could change."""
    if not path.is_file() or path.stat().st_size > MOST:
        return
    try:
        change(rng, path)
    except (
        ValueError,
        KeyError,
        TypeError,
        IndexError,
        AttributeError,
        OSError,
        OverflowError,
        RecursionError,
        struct.error,
    ):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:100])


# ---- what has to hold


def judged(path: Path, variant: str | None) -> Answer:
    """What `inspect` and `load` say, and under "failure" what they should not do."""
    told, whole = _told(path, variant)
    for part in (Scheduler, FeatureExtractor):
        try:
            part.from_folder(path)
        except InputError as error:
            _check_sentence(str(error))
    try:
        load(path, variant=variant)
    except InputError as error:
        _check_sentence(str(error))
        if whole:
            return {"told": str(error), "failure": "inspect finds nothing missing, and load refuses it"}
    else:
        if not whole:
            return {"told": told, "failure": "inspect refuses it, and load takes it"}
    return {"told": told, "whole": whole}


def _told(path: Path, variant: str | None) -> tuple[str, bool]:
    """What `inspect` says, and whether it finds nothing missing."""
    try:
        report = inspect(path, variant)
    except InputError as error:
        _check_sentence(str(error))
        return str(error), False
    json.dumps(report.to_json(), allow_nan=False)
    for sentence in report.missing:
        _check_sentence(sentence)
    return " ".join(report.missing) or "nothing missing", not report.missing


def _check_sentence(text: str) -> None:
    if not text.isprintable() or not text.endswith(".") or len(text) > 1000:
        raise AssertionError(f"no sentence: {text[:300]!r}")


def make_bases(folder: Path) -> None:
    """The whole checkpoints, of zeros."""
    tiny = PRESETS["tiny"]
    least = random_models(
        replace(tiny.unet, block_out_channels=(32, 32), num_attention_heads=(1, 1)),
        replace(tiny.vae, block_out_channels=(32, 32)),
        replace(tiny.clip, num_hidden_layers=1),
    )
    save(least, folder / "tiny.safetensors")
    save(least, folder / "tiny", "diffusers")
    for path in (folder / "tiny.safetensors", *folder.glob("tiny/*/*.safetensors")):
        write(path, read(path))
    assert all(expected_shapes(open_checkpoint(folder / name)) for name in ("tiny", "tiny.safetensors"))


def judge(seed: int, bases: str) -> Judge:
    """For a worker: judges the case of a number."""
    torch.set_num_threads(1)
    load(Path(bases) / "tiny")  # imports what is imported late

    def of(number: int) -> Answer:
        with tempfile.TemporaryDirectory(prefix="case", dir=bases) as folder:
            path, variant = make(random.Random(f"{seed}:{number}"), Path(bases), Path(folder))
            try:
                return judged(path, variant)
            except BaseException as error:  # whatever it is, it is what we look for
                return {"failure": f"{type(error).__name__}: {error}"[:500], "traceback": traceback.format_exc()}

    return of


def run(count: int, seed: int, seconds: float, first: int = 0) -> tuple[Counter[str], list[str]]:
    """Judges `count` cases. Returns how many were whole and how many refused, and a line for each that fails."""
    seen: Counter[str] = Counter()
    failures = []
    with tempfile.TemporaryDirectory() as bases:
        make_bases(Path(bases))
        for number, answer in answers(judge, (seed, bases), range(first, first + count), seconds):
            seen["failed" if "failure" in answer else "whole" if answer["whole"] else "refused"] += 1
            if "failure" in answer:
                failures.append(f"--seed {seed} --only {number}: {answer['failure']}")
                print(failures[-1], answer.get("told", ""), answer.get("traceback", ""), file=sys.stderr, flush=True)
    return seen, failures


def show(seed: int, number: int, folder: Path) -> None:
    """Makes one case in a folder and says what it does."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as bases:
        make_bases(Path(bases))
        path, variant = make(random.Random(f"{seed}:{number}"), Path(bases), folder)
    print(path, variant or "")
    print(json.dumps(judged(path, variant), indent=2))


def main() -> int:
    parser = argparse.ArgumentParser(prog="fuzz.checkpoints", description=__doc__)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=10, help="after which a case counts as one without end")
    parser.add_argument("--only", type=int, metavar="NUMBER")
    parser.add_argument("--folder", type=Path, default=Path("case"), help="for --only")
    asked = parser.parse_args()
    if asked.only is not None:
        show(asked.seed, asked.only, asked.folder)
        return 0
    seen, failures = run(asked.count, asked.seed, asked.seconds, asked.first)
    print(f"seed {asked.seed}, {asked.count} cases: {dict(seen)}")
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
