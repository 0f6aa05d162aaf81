"""A secret that has no text form.

`str`, `repr`, `format`, JSON and pickling give a mask or fail; the value is reached
only through `reveal`, a name that is easy to search for.
"""

from __future__ import annotations

from typing import Never

MASK = "[secret]"


class Secret:
    """A string that prints as a mask and refuses to be pickled."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        """Wrap a value; the caller drops its own reference."""
        self._value = value

    def reveal(self) -> str:
        """Give the value itself, at the one place that sends or hashes it."""
        return self._value

    def __repr__(self) -> str:
        """Never the value."""
        return MASK

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        """Never the value, whatever the format."""
        return MASK

    def __bool__(self) -> bool:
        """Whether there is a value at all."""
        return bool(self._value)

    def __reduce__(self) -> Never:
        """Refuse to be pickled."""
        message = "a secret cannot be pickled"
        raise TypeError(message)
