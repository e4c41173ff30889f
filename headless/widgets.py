"""A drawn node's widget values by name. The editor saves them as a bare list, in the order of the node's widgets.

Every value is accounted for: it is an input's, or one that the editor keeps for itself, or a note says that it is left.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .graph import Info
from .text import shortened
from .values import Spec, branch, specs

CONTROLS = ("fixed", "increment", "increment-wrap", "decrement", "randomize")  # what becomes of a seed after a run
SEEDS = ("seed", "noise_seed")  # which the editor gives a control even where the node does not ask for one
UPLOADS = ("image_upload", "video_upload", "audio_upload", "animated_image_upload")
EDITOR_S_OWN = ("image", "video", "audio", "", None)  # what its buttons and players at the end save


@dataclass
class Widgets:
    """values: by input. left: values that nothing here takes."""

    values: dict[str, Any] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)


def read_widgets(info: Info, values: Any, named: Any = None) -> Widgets:
    """The values of a node of this description; what is not in the file has its default.

    values: a list, or a map by name as some packs write it. named: what newer editors write beside the list.
    """
    if isinstance(named, dict) and (not isinstance(values, list) or list(named.values()) == values):
        return _by_name(info, named)
    if isinstance(values, dict):
        return _by_name(info, values)
    return _by_place(info, values if isinstance(values, list) else [])


def _by_name(info: Info, named: Mapping[str, Any]) -> Widgets:
    known = specs(info, named)
    read = Widgets({spec.name: _value(spec, named.get(spec.name)) for spec in known.values() if spec.is_widget})
    for name, value in named.items():
        if name not in known and value not in (*CONTROLS, *EDITOR_S_OWN):
            read.left.append(f"{shortened(name)} {shortened(value)}")
    return read


def _by_place(info: Info, values: list[Any]) -> Widgets:
    values = _without_dummies(info, values)
    read, position = Widgets(), 0
    waiting = [spec for spec in specs(info).values() if spec.is_widget]
    has_buttons = any(spec.options.get(upload) for spec in waiting for upload in UPLOADS)
    while waiting:
        spec = waiting.pop(0)
        value = _value(spec, values[position] if position < len(values) else None)
        read.values[spec.name] = value
        waiting[:0] = [inner for inner in branch(spec, value) if inner.is_widget]
        position += 1
        position += _control_values(spec, values[position:], waiting)
    for value in values[position:]:
        if not (isinstance(value, str | None) and value in EDITOR_S_OWN) and not (has_buttons and value is True):
            read.left.append(shortened(value))
    return read


def _value(spec: Spec, value: Any) -> Any:
    return spec.default if value is None else value


def _control_values(spec: Spec, values: list[Any], waiting: list[Spec]) -> int:
    """How many values that follow a widget's own are its control's: by what they are, since not every file has one."""
    told = spec.options.get("control_after_generate")
    if not (told or (told is None and spec.type == "INT" and spec.name in SEEDS)) or not values:
        return 0
    follower = waiting[0] if waiting else None
    if isinstance(values[0], bool):  # as very old files have it
        return int(follower is None or follower.type != "BOOLEAN")
    if values[0] not in CONTROLS:
        return 0
    enough = len(values) > len(waiting)
    if follower and follower.type in ("COMBO", "STRING") and not enough and values[0] in (follower.choices or CONTROLS):
        return 0
    has_filter = spec.type == "COMBO" and len(values) > len(waiting) + 1 and isinstance(values[1], str)
    return 1 + has_filter


def _without_dummies(info: Info, values: list[Any]) -> list[Any]:
    """Until mid-2025 the editor kept a value for inputs that can only be linked, too."""
    places = list(_old_places(info))
    if len(places) != len(values) or not any(places):
        return values
    return [value for value, is_dummy in zip(values, places, strict=True) if not is_dummy]


def _old_places(info: Info) -> Iterator[bool]:
    for spec in specs(info).values():
        is_dummy = bool(spec.options.get("forceInput"))
        if spec.is_widget or is_dummy:
            yield is_dummy
            if spec.options.get("control_after_generate"):
                yield False
