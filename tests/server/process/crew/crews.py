"""A crew without processes: workers that note what they are told, on a clock that a test sets."""

from __future__ import annotations

from dataclasses import dataclass, field

from greenserve.process.crew.checks import Limits
from greenserve.process.crew.crew import Crew
from greenserve.process.crew.seats import Failure, State
from greenserve_hub.deadlines import NEVER

LIMITS = Limits(worker_timeout=30.0, start_timeout=120.0, graceful_timeout=10.0)
FAILURE = Failure("no module named web", 3, "\nTraceback")


@dataclass(eq=False)
class FakeWorker:
    """See seats.Worker."""

    number: int
    seat: int
    born: float
    state: State = State.STARTING
    ready_at: float = 0.0
    left_at: float = 0.0
    failure: Failure | None = None
    kill_at: float = NEVER
    is_silent_for: float = 0.0
    told: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"worker {self.number}"

    def silence(self) -> float:
        return self.is_silent_for

    def retire(self) -> None:
        self.told.append("retire")

    def hurry(self) -> None:
        self.told.append("hurry")

    def stop(self, number: int) -> None:
        self.told.append(f"stop {number}")

    def abort(self) -> None:
        self.told.append("abort")

    def kill(self) -> None:
        self.told.append("kill")

    def adopt(self, seat: int) -> None:
        self.told.append(f"adopt {seat}")

    def leave(self, seat: int) -> None:
        self.told.append(f"leave {seat}")


class Crewed:
    """A crew, its clock, and all workers that it has ever hired."""

    def __init__(self, size: int, limits: Limits = LIMITS, *, adopts: bool = True) -> None:
        self.now = 1000.0
        self.hired: list[FakeWorker] = []
        self.rolled: list[bool] = []
        self.refuses = False  # the system lets no process start
        self.crew = Crew(self._hire, size, limits, lambda: self.now, adopts=adopts, rolled=self.rolled.append)

    def _hire(self, seat: int) -> FakeWorker:
        if self.refuses:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        worker = FakeWorker(len(self.hired) + 1, seat, self.now)
        self.hired.append(worker)
        return worker

    @property
    def new(self) -> FakeWorker:
        """The worker that was hired last."""
        return self.hired[-1]

    def serving(self) -> list[int]:
        """The numbers of the workers on the seats that serve."""
        return [seat.worker.number for seat in self.crew.seats if seat.is_served]

    def started(self) -> list[FakeWorker]:
        """Start, and have all be ready."""
        self.crew.start()
        for worker in self.hired:
            self.crew.ready(worker)
        return list(self.hired)

    def passes(self, seconds: float) -> None:
        """Time goes by, with the master's ticks."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + 0.25)
            self.crew.tick()

    def dies(self, worker: FakeWorker, how: str = "was killed by SIGKILL") -> None:
        self.crew.exited(worker, how)

    def fails(self, worker: FakeWorker) -> None:
        """It says that it could not start, and ends."""
        worker.failure = FAILURE
        self.crew.exited(worker, "ended with exit code 3")
