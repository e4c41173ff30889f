"""What comes with a model beside its weights: a diffusers folder's small configs, and the folder behind a model id."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from torch import Tensor

from .clip import MEAN, STD
from .edm import RHO, SIGMA_MAX, SIGMA_MIN, karras_sigmas
from .errors import InputError, shown
from .folder import model_folder, read_json

MOST_COLOR = 1000.0  # of a mean or a deviation, in numbers of 0..1 (or, by mistake, 0..255)
MOST_SIGMA = 1e6  # SVD's is 700; a larger one is damage
SVD_SCHEDULE = {"use_karras_sigmas": True, "prediction_type": "v_prediction", "timestep_type": "continuous"}


@dataclass(frozen=True)
class Scheduler:
    """The Karras schedule's numbers."""

    sigma_min: float = SIGMA_MIN
    sigma_max: float = SIGMA_MAX
    rho: float = RHO

    @classmethod
    def from_folder(cls, folder: Path) -> Self:
        """Reads a folder's scheduler_config.json; SVD's own numbers where there is none (as in a single file).

        InputError when it asks for another schedule or parametrisation than SVD's.
        """
        path = model_folder(folder) / "scheduler/scheduler_config.json"
        return cls.from_config(read_json(path) if path.is_file() else {}, path.name)

    @classmethod
    def from_config(cls, values: Mapping[str, Any], where: str) -> Self:
        """The same of a config that is at hand; `where` it comes from."""
        for name, value in SVD_SCHEDULE.items():
            if values.get(name, value) != value:
                raise InputError(f"{where} has {name} = {shown(repr(values[name]), 40)}, but SVD needs {value!r}.")
        given = {name: value for name, value in values.items() if value is not None}
        low, high = given.get("sigma_min", SIGMA_MIN), given.get("sigma_max", SIGMA_MAX)
        if not all(_between(sigma, 1e-9, MOST_SIGMA) for sigma in (low, high)):
            ends = f"sigma_min = {shown(low, 40)} and sigma_max = {shown(high, 40)}"
            raise InputError(f"{where} has {ends}, which must be numbers above 0, at most {MOST_SIGMA:,.0f}.")
        karras_sigmas(1, low, high)  # refuses numbers that make no schedule
        return cls(low, high)

    def sigmas(self, steps: int) -> Tensor:
        """(steps + 1,), from sigma_max to 0."""
        return karras_sigmas(steps, self.sigma_min, self.sigma_max, self.rho)


@dataclass(frozen=True)
class FeatureExtractor:
    """CLIP's normalisation."""

    image_mean: tuple[float, ...] = MEAN
    image_std: tuple[float, ...] = STD

    @classmethod
    def from_folder(cls, folder: Path) -> Self:
        """Reads a folder's preprocessor_config.json; CLIP's own numbers where there is none. InputError on others."""
        path = model_folder(folder) / "feature_extractor/preprocessor_config.json"
        values = read_json(path) if path.is_file() else {}
        mean, std = values.get("image_mean", list(MEAN)), values.get("image_std", list(STD))
        for colors, least in ((mean, -MOST_COLOR), (std, 1 / MOST_COLOR)):
            if not isinstance(colors, list) or [_between(c, least, MOST_COLOR) for c in colors] != [True] * 3:
                raise InputError(f"{path.name} has {shown(colors, 60)} where three numbers near 0.5 should be.")
        return cls(tuple(mean), tuple(std))


def _between(value: object, least: float, most: float) -> bool:
    return type(value) in (int, float) and least <= value <= most  # type: ignore[operator]


def from_hub(name: str, variant: str | None, options: dict[str, Any]) -> Path:
    """The local folder of a model on the Hugging Face hub."""
    from huggingface_hub import snapshot_download

    weights = f"*/*.{variant}.safetensors" if variant else "*/*.safetensors"
    try:
        return Path(snapshot_download(name, allow_patterns=["*.json", "*/*.json", weights], **options))
    except Exception as error:  # network, licence not accepted, unknown name: the hub's own words say which
        raise InputError(f"{name} is no file or folder here, and could not be fetched as a model: {error}") from error
