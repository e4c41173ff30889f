"""What the server says of a workflow that it will not run, or not all of, as sentences that name node and input."""

from collections.abc import Iterator, Mapping
from typing import Any

from .words import one_line, plain


def refusal(reply: Mapping[str, Any], prompt: Mapping[str, Any]) -> str:
    """Why it runs nothing of it; a sentence a line, each once."""
    told = [sentence for id, fault in _faults(reply) for sentence in _sentences(id, fault, prompt)]
    return "\n".join(dict.fromkeys(told or [_of_the_whole(reply.get("error") or {})]))


def node_faults(reply: Mapping[str, Any], prompt: Mapping[str, Any]) -> dict[str, str]:
    """Of a workflow that it took: the nodes whose results it will not make all the same, and why."""
    found: dict[str, list[str]] = {}
    for id, fault in _faults(reply):
        for output in fault.get("dependent_outputs") or [id]:
            if output in prompt:
                found.setdefault(output, []).extend(_sentences(id, fault, prompt))
    return {id: " ".join(dict.fromkeys(sentences)) for id, sentences in found.items()}


def _faults(reply: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    return iter((reply.get("node_errors") or {}).items())


def _sentences(id: str, fault: Mapping[str, Any], prompt: Mapping[str, Any]) -> Iterator[str]:
    title = prompt.get(id, {}).get("_meta", {}).get("title") or fault.get("class_type", "?")
    for error in fault.get("errors", []):
        yield plain(f'Node {id} "{one_line(title)}": {_told(error)}')


def _of_the_whole(error: Any) -> str:
    told = error if isinstance(error, str) else " ".join(filter(None, (error.get("message"), error.get("details"))))
    return plain(f"The server refused the workflow: {told or 'it does not say why'}.")


def _told(error: Mapping[str, Any]) -> str:
    """One fault of a node. What the node says itself needs no more words; what the server says needs the input."""
    name, details = (error.get("extra_info") or {}).get("input_name"), str(error.get("details", ""))
    if error.get("type") == "custom_validation_failed":
        return details.removeprefix(f"{name} - ")
    return f"{f'{name}: ' if name else ''}{error.get('message', '')} ({details})."
