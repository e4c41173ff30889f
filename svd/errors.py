"""The two ways a run can fail that a user can do something about.

Both carry one sentence that says what is wrong and what to do; a host shows it as it is, without a traceback.
"""


class InputError(ValueError):
    """Something the user gave (a file, a picture, a number) cannot be used. Raised at the border, before any work."""


class NonFiniteError(ArithmeticError):
    """NaN or infinity came out of a network. Raised after the step or chunk it came from, before anything is saved."""
