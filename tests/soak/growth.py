"""What some work has left behind in this process."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass

_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Memory:
    objects: int  # that the garbage collector knows
    blocks: int  # of Python's allocator: everything small
    resident: int  # bytes

    def __sub__(self, other: Memory) -> Memory:
        return Memory(
            self.objects - other.objects, self.blocks - other.blocks, self.resident - other.resident
        )


def memory() -> Memory:
    """What is held now, after what nobody holds has gone."""
    for _ in range(3):  # finalizers may let go of more
        gc.collect()
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    return Memory(len(gc.get_objects()), sys.getallocatedblocks(), pages * _PAGE)


def growth(work: Callable[[int], object], count: int) -> Memory:
    """What `work(count)` leaves behind, after a warm-up that has filled all caches."""
    work(max(count // 10, 1))
    before = memory()
    work(count)
    return memory() - before
