"""What to do when a well-known checkpoint is not there."""

from ..nodes.host.folders import MODEL_PAGE

HOW_TO_GET = {
    "svd_xt.safetensors": (
        f"To get svd_xt.safetensors (9.6 GB): read and accept its licence at {MODEL_PAGE}, download the file there and "
        "put it in models/checkpoints here, or name its folder with --checkpoints."
    ),
}


def advice(sentence: str) -> str | None:
    """How to get the checkpoint that this error misses; None when it is about something else."""
    missing = "no checkpoint" in sentence
    return next((how for name, how in HOW_TO_GET.items() if missing and name in sentence), None)
