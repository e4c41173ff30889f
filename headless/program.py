"""The program around the commands: it hears `--debug` wherever it stands, and ends in a sentence whatever happens."""

from typing import Any

from typer.core import TyperGroup

from .sentences import debug, sentences

DEBUG = "--debug"


class Program(TyperGroup):
    """All commands together."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Brings `--debug` to the front: people put it where a command has failed, at its end."""
        end = args.index("--") if "--" in args else len(args)
        if DEBUG in args[:end]:
            args = [DEBUG, *(word for word in args[:end] if word != DEBUG), *args[end:]]
        with sentences():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: Any) -> Any:
        """The outermost guard."""
        before = debug.set(ctx.params["debug"])
        try:
            with sentences():
                return super().invoke(ctx)
        finally:
            debug.reset(before)
