"""The exceptions of mulkinet: one root, raised for whatever a user can put right.

A message is one line that says what was expected, what was found and what to try.

Public names: `MulkinetError`, `SkippedInput`.
"""

__all__ = ["MulkinetError", "SkippedInput"]


class MulkinetError(Exception):
    """Something the user did or brought cannot be worked with; the message says what to try."""


class SkippedInput(MulkinetError):
    """One input among many cannot be used: it is listed with this reason and the run goes on."""
