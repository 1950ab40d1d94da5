"""The running asyncio loop of this OS thread: put aside while other green threads run, and put back.

Facts: asyncio stores the running loop per OS thread, and also its hooks for async generators and, from Python 3.14 on,
the current task. A green thread that waits while a loop runs (in the selector, or in a coroutine that blocks) would
leave them to the next green thread, for which no loop runs. Consequence: they are put aside with the waiting one.

Imports asyncio, which takes long: only for code that has imported it already. Knows neither hub nor greenlets.
"""

from __future__ import annotations

import sys
from asyncio import events, tasks
from collections.abc import Callable
from typing import Any

get_running_loop: Callable[[], Any] = events._get_running_loop
_set_running_loop: Callable[[Any], None] = events._set_running_loop

# The loop, its task if asyncio does not keep it with the loop, and its hooks.
Running = tuple[Any, Any, Any]

if sys.version_info >= (3, 14):
    # (loop, task) -> the task before; RuntimeError if it is not the running loop.
    _swap_task: Callable[[Any, Any], Any] = tasks._swap_current_task  # type: ignore[attr-defined]
else:

    def _swap_task(loop: Any, task: Any) -> Any:
        return None


def show(loop: Any) -> None:
    """Make `loop` the running one for all code of this OS thread, though it does not run now. Switches: never."""
    _set_running_loop(loop)


def put_aside(loop: Any) -> Running:
    """Make `loop`, the running loop, not running. Switches: never."""
    running = loop, _swap_task(loop, None), sys.get_asyncgen_hooks()
    _set_running_loop(None)
    sys.set_asyncgen_hooks(None, None)
    return running


def put_back(running: Running) -> None:
    """Undo put_aside(). Switches: never."""
    loop, task, hooks = running
    sys.set_asyncgen_hooks(*hooks)
    _set_running_loop(loop)
    _swap_task(loop, task)
