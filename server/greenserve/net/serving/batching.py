"""Batch: the responses that become whole in one turn of the hub are sent together.

Called by connections with their responses, and by the request queue at the beginning and the end of a turn.

Facts: a response that is sent right after another finds the clients' side awake; one that is sent alone, with an app's
run before it, has the kernel wake that side up: up to half of what a small request costs. Decision: responses wait for
the end of the turn. Cost: they must not wait for an app that holds the hub, so that after one that did each is sent at
once, for a second; nor for one that gives way when its response is whole, in the close() of an iterable say.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from greenserve.net.http.services import Held, Whole

HOLDS: Final = 0.0005  # seconds after which an app that has not given way counts as one that holds the hub
_PAUSE: Final = 1.0  # seconds without gathering after such a run


class Batch:
    """The whole responses of this turn, which are not sent yet."""

    def __init__(self, call_soon: Callable[[Callable[[], object]], object]) -> None:
        """Empty. Until begin() each response is sent at once. `call_soon` is the hub's."""
        self._call_soon = call_soon
        self.is_turn = False  # from begin() to the end of the dispatch
        self.behind: list[Callable[[], object]] = []
        self._unsent: deque[Whole] = deque()
        self._gather_from = 0.0
        self.held: Held | None = None  # the latest of this turn; its app may be over
        # Have a sender send its response, in this turn. Switches: never. Each request asks for it, and has the deque
        # itself take the response while that only has to wait.
        self.add: Callable[[Whole], object] = self._send

    def _send(self, whole: Whole) -> None:
        self._unsent.append(whole)
        self.end()

    def begin(self, now: float) -> None:
        """Gather responses until end(). Switches: never."""
        self.is_turn = True
        if now >= self._gather_from:
            self.add = self._unsent.append

    def hold(self, one: Held) -> bool:
        """Have the response of `one` wait for the end of its app, unless that gives way before. Switches: never.

        Return False where nothing is gathered.
        """
        if self.add == self._send:
            return False
        self.held = one
        return True

    def gave_way(self) -> None:
        """The app that ran has given way or is over: its response goes out if it was held. Switches: never."""
        held, self.held = self.held, None
        if held is not None:
            try:
                held.send_held()
            except Exception:
                held.broke()

    def call_behind(self, fn: Callable[[], object]) -> None:
        """Call `fn`, which raises nothing, behind the responses of this turn; in the next one if this has none.

        Switches: never.
        """
        if self.is_turn:
            self.behind.append(fn)
        else:
            self._call_soon(fn)

    def call_all(self) -> None:
        """Call what call_behind() was given. Switches: never."""
        behind, self.behind = self.behind, []
        for fn in behind:
            fn()

    def end(self) -> None:
        """Send what was gathered. Switches: never."""
        self.add = self._send
        unsent = self._unsent
        while unsent:
            sender, first, second = unsent.popleft()
            try:
                sender.flush(first, second)
            except Exception:
                sender.broke()

    def pause(self, now: float) -> None:
        """An app has held the hub: send what was gathered, and gather nothing for a while. Switches: never."""
        self._gather_from = now + _PAUSE
        self.end()

    def clear(self) -> None:
        """Forget them, in the child of a fork. Switches: never."""
        self._unsent.clear()
        self.behind.clear()
