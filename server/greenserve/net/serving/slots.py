"""The slots of the pool, which bound how many requests run at once, and what a request does with its slot.

Knows no connection and no queue. The invariant: each slot that was lent or given up is taken back once before its green
thread ends.

Facts: a slot that a request holds while it waits for its own client is held by that client, and a thousand slow clients
are cheap to come by. No deadline short enough to keep the queue moving would let an honest phone through a tunnel.
Decision: a request that waits for its client lends its slot (at most `pool_overflow` are lent at once) and takes one
back, before all queued requests, when the client has moved. Cost: more requests may have begun than there are slots,
each with its green thread and whatever the app holds meanwhile, a database connection say; `--pool-overflow 0` is for
apps that cannot have that.
"""

from __future__ import annotations

from collections.abc import Callable

from greenserve_hub.greenthreads.pools import GreenPool
from greenserve_hub.sync.semaphores import Semaphore


class _Tokens(Semaphore):
    """Only a request that has lent its slot waits here: a queued one has no green thread yet."""

    def __repr__(self) -> str:
        return "a slot of the pool: its client has moved"


class Slots:
    """The pool that requests run on, and the slots that they lend and give up."""

    def __init__(self, size: int, overflow: int, freed: Callable[[], None]) -> None:
        """`size` slots, of which `overflow` may be lent at once. `freed` is called when a request frees its slot."""
        self._tokens = _Tokens(size)
        self.pool = GreenPool(size, slots=self._tokens)
        self.lent = 0  # by requests that wait for their clients
        self.upgraded = 0  # green threads of the pool whose requests have left HTTP
        self._overflow = overflow
        self._returning = 0  # requests that want theirs back
        self.may_be_wanted = False  # one was taken back since is_wanted() was False; asked with each request
        self._freed = freed

    def is_full(self) -> bool:
        """Return True if no slot is free. Switches: never."""
        return self._tokens.counter <= 0

    def is_wanted(self) -> bool:
        """Return True if the current worker has to end: its slot is one too many, or a lender's. Switches: never."""
        is_wanted = self._tokens.counter < 0 or (self._returning > 0 and self._tokens.waiting() > 0)
        self.may_be_wanted = is_wanted or self._returning > 0
        return is_wanted

    # A request that waits for its client -----------------------------------------------------------------

    def lend(self) -> bool:
        """Lend the slot while the request waits for its client. Return False if it has to keep it. Switches: never."""
        if self.lent >= self._overflow:
            return False
        self.lent += 1
        self.pool.lend()
        self._freed()
        return True

    def take_back(self) -> None:
        """Take a slot back, before the queued requests: the client has moved. Switches: when none is free."""
        self.lent -= 1
        self._returning += 1
        self.may_be_wanted = True
        try:
            self.pool.reclaim()
        finally:
            self._returning -= 1

    def take_back_now(self) -> None:
        """Take a slot back for a request that an exception has reached: it goes on at once, one above the pool's size.

        Switches: never.
        """
        self.lent -= 1
        self._take_one_more()

    # A request that has left HTTP ------------------------------------------------------------------------

    def give_up(self) -> None:
        """Free the slot for as long as the upgraded connection's app runs. Switches: never."""
        self.upgraded += 1
        self.pool.lend()
        self._freed()

    def take_last(self) -> None:
        """That app has returned: take the slot that its green thread gives back as it ends. Switches: never."""
        self.upgraded -= 1
        self._take_one_more()

    def _take_one_more(self) -> None:
        self.may_be_wanted = True
        self.pool.reclaim_now()
