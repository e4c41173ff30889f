"""SVD Sigmas."""

from ..svd.edm import RHO, SIGMA_MAX, SIGMA_MIN, align_your_steps_sigmas, karras_sigmas
from . import check, wires
from .host import io

SCHEDULES = ["karras", "align-your-steps"]


class Sigmas(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StableVideoSigmas",
            display_name="SVD Sigmas",
            category=wires.CATEGORY,
            description="The noise levels the sampler goes through. Without this node it uses karras and its defaults.",
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
                    tooltip="Noise level of the last step but the end, which is always 0.",
                ),
                io.Float.Input(
                    "rho",
                    default=RHO,
                    min=0.1,
                    max=100.0,
                    step=0.1,
                    round=False,
                    tooltip="karras only: how closely the steps gather at low noise. 7 is usual; 1 spaces them evenly.",
                ),
            ],
            outputs=[io.Sigmas.Output(display_name="sigmas", tooltip="The noise levels, for the SVD Sampler.")],
        )

    @classmethod
    def validate_inputs(
        cls, schedule: str | None = None, sigma_max: float | None = None, sigma_min: float | None = None
    ) -> check.Verdict:
        return check.first_problem(
            check.choice("schedule", schedule, SCHEDULES),
            check.refusal(karras_sigmas, 1, sigma_min, sigma_max),
        )

    @classmethod
    def execute(cls, schedule: str, steps: int, sigma_max: float, sigma_min: float, rho: float) -> io.NodeOutput:
        check.require(cls.validate_inputs(schedule, sigma_max, sigma_min))
        if schedule == "karras":
            return io.NodeOutput(karras_sigmas(steps, sigma_min, sigma_max, rho))
        return io.NodeOutput(align_your_steps_sigmas(steps, sigma_min, sigma_max))
