"""How long things are waited for."""

from dataclasses import dataclass, field

from .limits import Limits


@dataclass(frozen=True)
class Timing:
    """Seconds.

    look_every: between looks at the server's queue while messages come.
    ask_every: between looks where no messages come; more where a look itself takes long.
    pause: between two tries to reach a server that is away.
    stopping: that a cancelled job may take to stop.
    tell_every: between two lines of a log about one job.
    """

    look_every: float = 30.0
    ask_every: float = 2.0
    pause: float = 1.0
    stopping: float = 3.0
    tell_every: float = 10.0
    limits: Limits = field(default_factory=Limits)
