"""The crew's invariants, whatever happens in whatever order."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.server.process.crew.crews import Crewed, FakeWorker
from tests.support.examples import examples

from greenserve.process.crew.seats import State

_ENDING = ("retire", "stop")


class Rules(RuleBasedStateMachine):
    """All that can happen to a crew."""

    def __init__(self) -> None:
        super().__init__()
        self.crewed = Crewed(1)
        self.ended: set[FakeWorker] = set()
        self.hired_before_stop: int | None = None
        self.served: set[int] = set()  # seats, after the step before
        self.excused: set[int] = set()  # those that this step may have taken the worker from

    @initialize(size=st.integers(1, 4))
    def start(self, size: int) -> None:
        self.crewed = Crewed(size)
        self.crewed.crew.start()

    def living(self) -> list[FakeWorker]:
        return [worker for worker in self.crewed.hired if worker not in self.ended]

    def one(self, data: st.DataObject) -> FakeWorker | None:
        living = self.living()
        return data.draw(st.sampled_from(living)) if living else None

    @rule(data=st.data())
    def is_ready(self, data: st.DataObject) -> None:
        if (worker := self.one(data)) is not None:
            self.crewed.crew.ready(worker)

    @rule()
    def the_new_one_is_ready(self) -> None:
        if self.crewed.hired and self.crewed.new not in self.ended:
            self.crewed.crew.ready(self.crewed.new)

    @rule(data=st.data(), fails=st.booleans())
    def ends(self, data: st.DataObject, fails: bool) -> None:
        worker = self.one(data)
        if worker is None:
            return
        self.ended.add(worker)
        self.excused = {worker.seat}
        fails = fails and worker.state is State.STARTING and any(one.ready_at for one in self.crewed.hired)
        (self.crewed.fails if fails else self.crewed.dies)(worker)

    @rule(data=st.data())
    def is_worn(self, data: st.DataObject) -> None:
        if (worker := self.one(data)) is not None:
            self.crewed.crew.wants_to_go(worker, "")

    @rule(data=st.data())
    def is_told_by_others(self, data: st.DataObject) -> None:
        if (worker := self.one(data)) is not None:
            self.excused = {worker.seat}
            self.crewed.crew.leaves(worker)

    @rule(data=st.data(), seconds=st.sampled_from([0.0, 3.0, 40.0]))
    def stands_still(self, data: st.DataObject, seconds: float) -> None:
        if (worker := self.one(data)) is not None:
            worker.is_silent_for = seconds

    @rule(seconds=st.sampled_from([0.25, 3.0, 31.0]))
    def time_passes(self, seconds: float) -> None:
        self.crewed.passes(seconds)

    @rule()
    def rolls(self) -> None:
        self.crewed.crew.roll()

    @rule(size=st.integers(1, 5))
    def is_resized(self, size: int) -> None:
        self.excused = set(range(size, len(self.crewed.crew.seats)))
        self.crewed.crew.resize(size)
        assert self.hired_before_stop is not None or self.crewed.crew.size == size

    @rule(refuses=st.booleans())
    def system_refuses(self, refuses: bool) -> None:
        self.crewed.refuses = refuses

    @precondition(lambda self: len(self.crewed.hired) > 6)
    @rule()
    def is_stopped(self) -> None:
        self.hired_before_stop = self.hired_before_stop or len(self.crewed.hired)
        self.crewed.crew.stop()

    @invariant()
    def a_seat_has_one_worker_and_one_heir_at_most(self) -> None:
        crew = self.crewed.crew
        for seat in crew.seats:
            ours = [one for one in self.living() if one.seat == seat.index and one.state is not State.LEAVING]
            assert len(ours) <= 2
            assert set(ours) == {one for one in (seat.worker, seat.heir) if one is not None}
            if len(ours) == 2:
                assert seat.heir is not None
                assert seat.heir.state is State.STARTING
        assert set(crew) == set(self.living())
        assert sum(seat.heir is not None for seat in crew.seats) <= 1

    @invariant()
    def each_is_told_to_end_once(self) -> None:
        for worker in self.crewed.hired:
            times = sum(told.startswith(_ENDING) for told in worker.told)
            assert times <= 1
            if self.hired_before_stop is None and worker.state is not State.LEAVING:
                assert times == 0

    @invariant()
    def nobody_is_hired_after_a_stop(self) -> None:
        if self.hired_before_stop is not None:
            assert len(self.crewed.hired) == self.hired_before_stop

    @invariant()
    def a_served_seat_is_served_until_its_worker_is_told_to_go_by_others_or_dies(self) -> None:
        served = {seat.index for seat in self.crewed.crew.seats if seat.is_served}
        assert self.served - self.excused <= served
        self.served, self.excused = served, set()

    @invariant()
    def each_adopted_seat_has_one_adopter(self) -> None:
        if self.hired_before_stop is not None:
            return
        for seat in self.crewed.crew.seats:
            adopters = [one for one in self.living() if _adopts(one, seat.index)]
            assert adopters == ([seat.adopter] if seat.adopter else [])


def _adopts(worker: FakeWorker, seat: int) -> bool:
    own = [told for told in worker.told if told in (f"adopt {seat}", f"leave {seat}")]
    assert all(one.startswith("leave" if index % 2 else "adopt") for index, one in enumerate(own))
    return worker.state is not State.LEAVING and len(own) % 2 == 1


TestRules = Rules.TestCase
TestRules.settings = settings(examples(100), stateful_step_count=40)
