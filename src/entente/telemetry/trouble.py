"""What goes wrong for a while, said once when it begins and once when it is over.

What is tried again many times a second would otherwise say the same as often. The second
message is as loud as the first: whoever reads that something is wrong reads when it ends.
"""

from __future__ import annotations

import logging


class Trouble:
    """Something that is tried again and again, and what was said of it."""

    def __init__(
        self, log: logging.Logger, begins: str, over: str, level: int = logging.WARNING
    ) -> None:
        """Nothing is wrong yet. `begins` has a place, `%s`, for the reason."""
        self._log = log
        self._begins = begins
        self._over = over
        self._level = level
        self.text: str | None = None
        """Why it goes wrong now; None where it goes well."""

    def begin(self, text: str) -> None:
        """Take note that it goes wrong, perhaps for another reason than before."""
        if self.text is None:
            self._log.log(self._level, self._begins, text)
        self.text = text

    def end(self) -> None:
        """Take note that it goes well."""
        if self.text is not None:
            self.text = None
            self._log.log(self._level, self._over)
