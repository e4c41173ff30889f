"""Which results a job has lost on the way, though the server calls it done."""

from collections.abc import Collection, Mapping
from typing import Any

from .outcome import Outcome
from .words import one_line

KEEPERS = (
    *("SaveVideo", "SaveImage", "SaveAnimatedWEBP", "SaveAnimatedPNG", "SaveWEBM"),
    *("SaveAudio", "SaveAudioMP3", "SaveAudioOpus", "SaveLatent"),
)  # core's nodes that always say what they have kept; others may keep a file and say nothing


def losses(
    outcome: Outcome, prompt: Mapping[str, Any], wanted: Collection[str], refused: Mapping[str, str]
) -> dict[str, str]:
    """A sentence, by node, for each result of `wanted` that is not there. It is empty where the job's own fault says
    enough.

    refused: what the server said of nodes that it would not run, when it took the job.
    """
    return {
        id: _why(id, outcome, prompt, refused)
        for id in dict.fromkeys([*wanted, *refused])
        if id not in outcome.files and (id in refused or _is_lost(id, outcome, prompt))
    }


def _is_lost(id: str, outcome: Outcome, prompt: Mapping[str, Any]) -> bool:
    left_out = outcome.ran is not None and id not in outcome.ran
    return outcome.fault is not None or left_out or prompt[id]["class_type"] in KEEPERS


def _why(id: str, outcome: Outcome, prompt: Mapping[str, Any], refused: Mapping[str, str]) -> str:
    if outcome.fault is not None or id in refused:
        return refused.get(id, "")
    entry = prompt[id]
    title = one_line(entry.get("_meta", {}).get("title") or entry["class_type"])
    left_out = outcome.ran is not None and id not in outcome.ran
    what = "was left out by the server" if left_out else "kept nothing"
    return f'Node {id} "{title}" {what}, and the server does not say why.'
