"""How much there is to do: by it the host remembers how fast it was, and foretells how long the next run takes."""

from collections.abc import Hashable
from dataclasses import dataclass


@dataclass(frozen=True)
class Work:
    """`kind`: what takes the same time for the same amount, such as a network in a precision."""

    kind: Hashable
    amount: float
