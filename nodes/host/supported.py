"""What a node can say about itself grows from one version of the editor to the next; we run in all of them."""

import inspect
from collections.abc import Callable
from typing import Any


def supported(call: Callable[..., Any], **settings: Any) -> dict[str, Any]:
    """Those of `settings` that `call` takes, to be handed to it with `**`.

    An older editor's `io.Schema` or `io.Int.Input` raises TypeError for one that came later, and the whole pack with
    it would not load.
    """
    known = inspect.signature(call).parameters
    return {name: value for name, value in settings.items() if name in known}
