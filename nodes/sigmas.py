"""SVD Sigmas."""

from torch import Tensor

from ..svd.edm import RHO, SIGMA_MAX, SIGMA_MIN, align_your_steps_sigmas, karras_sigmas
from ..svd.errors import InputError
from . import check, wires
from .host import io
from .listing import ADVANCED, found_by

SCHEDULES = ["karras", "align-your-steps"]


class Sigmas(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StableVideoSigmas",
            display_name="SVD Sigmas",
            category=wires.CATEGORY,
            description="The noise levels the sampler goes through. Without this node it uses karras and its defaults.",
            **found_by("scheduler", "karras", "align your steps"),
            inputs=[
                io.Combo.Input(
                    "schedule",
                    options=SCHEDULES,
                    default="karras",
                    tooltip="karras: what SVD is sampled with, for 20 steps and more. "
                    "align-your-steps: found by optimisation, better with about 10 steps.",
                ),
                io.Int.Input(
                    "steps", default=25, min=1, max=1000, tooltip="How many steps: more are slower and a little finer."
                ),
                io.Float.Input(
                    "sigma_max",
                    default=SIGMA_MAX,
                    min=0.001,
                    max=10000.0,
                    step=0.001,
                    round=False,
                    **ADVANCED,
                    tooltip="Noise level of the first step. 700 starts from nothing; lower it, for example to 5, to "
                    "keep part of a latent given to the sampler.",
                ),
                io.Float.Input(
                    "sigma_min",
                    default=SIGMA_MIN,
                    min=0.0001,
                    max=10000.0,
                    step=0.0001,
                    round=False,
                    **ADVANCED,
                    tooltip="Noise level of the last step but the end, which is always 0.",
                ),
                io.Float.Input(
                    "rho",
                    default=RHO,
                    min=0.1,
                    max=100.0,
                    step=0.1,
                    round=False,
                    **ADVANCED,
                    tooltip="karras only: how closely the steps gather at low noise. 7 is usual; 1 spaces them evenly.",
                ),
            ],
            outputs=[io.Sigmas.Output(display_name="sigmas", tooltip="The noise levels, for the SVD Sampler.")],
        )

    @classmethod
    def validate_inputs(
        cls,
        schedule: str | None = None,
        steps: int | None = None,
        sigma_max: float | None = None,
        sigma_min: float | None = None,
        rho: float | None = None,
    ) -> check.Verdict:
        verdict = check.first_problem(
            check.choice("schedule", schedule, SCHEDULES),
            check.between("steps", steps, 1, 1000),
            check.between("rho", rho, 0.1, 100),
            check.refusal(karras_sigmas, 1, sigma_min, sigma_max),
            check.between("sigma_max", sigma_max, 0.001, 10000),
            check.between("sigma_min", sigma_min, 0.0001, 10000),
        )
        if isinstance(verdict, str):
            return verdict
        return check.first_problem(check.refusal(_noise_levels, schedule, steps, sigma_max, sigma_min, rho))

    @classmethod
    def execute(cls, schedule: str, steps: int, sigma_max: float, sigma_min: float, rho: float) -> io.NodeOutput:
        told = {"sigma_max": sigma_max, "sigma_min": sigma_min, "rho": rho}
        check.require(cls.validate_inputs, schedule=schedule, steps=steps, **told)
        return io.NodeOutput(_noise_levels(schedule, steps, sigma_max, sigma_min, rho))


def _noise_levels(schedule: str, steps: int, sigma_max: float, sigma_min: float, rho: float) -> Tensor:
    """(steps + 1,). InputError unless they fall from step to step, as the sampler needs them to."""
    karras = schedule == "karras"
    ends = steps, sigma_min, sigma_max
    sigmas = karras_sigmas(*ends, rho) if karras else align_your_steps_sigmas(*ends)
    if (sigmas.diff() >= 0).any():
        rho_too = ", or rho nearer 7" if karras else ""
        raise InputError(
            f"{steps} steps from sigma_max {sigma_max:g} to sigma_min {sigma_min:g} do not all differ: "
            f"set sigma_max and sigma_min further apart{rho_too}."
        )
    return sigmas
