"""A part of the day in which something may be done."""

import re
from dataclasses import dataclass
from datetime import time

__all__ = ["Window"]

_TEXT = re.compile(r"(\d{1,2}):(\d{2}) to (\d{1,2}):(\d{2})")


@dataclass(frozen=True, slots=True)
class Window:
    """From `begin`, included, to `end`, not included; it may go over midnight."""

    begin: time
    end: time

    @classmethod
    def of_text(cls, text: str) -> "Window | None":
        """Read "18:00 to 06:00"; None if it is no window, or an empty one.

        Examples
        --------
        >>> Window.of_text("18:00 to 06:00")
        Window(begin=datetime.time(18, 0), end=datetime.time(6, 0))
        >>> Window.of_text("18:00 to 25:00"), Window.of_text("6:00 to 06:00"), Window.of_text("")
        (None, None, None)
        """
        found = _TEXT.fullmatch(text.strip())
        if not found:
            return None
        hour, minute, last_hour, last_minute = map(int, found.groups())
        try:
            window = cls(time(hour, minute), time(last_hour, last_minute))
        except ValueError:
            return None
        return None if window.begin == window.end else window

    def holds(self, moment: time) -> bool:
        """Tell whether a time of the day lies in it.

        Examples
        --------
        >>> night = Window(time(18), time(6))
        >>> [night.holds(time(hour)) for hour in (17, 18, 0, 5, 6)]
        [False, True, True, True, False]
        >>> Window(time(9), time(17)).holds(time(12))
        True
        """
        if self.begin < self.end:
            return self.begin <= moment < self.end
        return moment >= self.begin or moment < self.end
