"""How many requests a server still accepts, counted over requests that run at the same time."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a response says of the server's rate limit.

    Attributes
    ----------
    remaining
        How many more requests the server accepts before the reset.
    reset
        When the server counts from zero, in seconds since 1970; ``None`` where no response says it.
    seconds
        How long it is until then.
    """

    remaining: int
    reset: int | None
    seconds: float


class RateLimit:
    """The requests that a server still accepts until its reset.

    Several threads send requests, so responses arrive in another order than the server counted them, and a
    response may not count the requests that still run.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running = 0
        # ``None`` until a response states a limit, and again after the reset.
        self._left: int | None = None
        self._reset: int | None = None
        self._ends = 0.0

    def start(self) -> float:
        """Start a request if the server accepts one: return 0, else the seconds until the reset."""
        with self._lock:
            now = time.monotonic()
            if self._left is not None and now >= self._ends:
                self._left = None
            if self._left is not None:
                if self._left <= 0:
                    return self._ends - now
                self._left -= 1
            self._running += 1
            return 0.0

    def end(self, allowance: Allowance | None) -> None:
        """End a request; ``allowance`` is what its response says, ``None`` where that is nothing."""
        with self._lock:
            self._running -= 1
            if allowance is None:
                return
            if allowance.reset is not None and self._reset is not None and allowance.reset < self._reset:
                return
            left = allowance.remaining - self._running
            same = self._left is not None and allowance.reset == self._reset
            # An earlier response that arrives later does not count the requests after it.
            self._left = min(self._left, left) if same and self._left is not None else left
            self._reset = allowance.reset
            self._ends = time.monotonic() + allowance.seconds
