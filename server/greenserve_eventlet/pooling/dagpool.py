"""eventlet.dagpool: green threads that wait for each other's results by key.

Invariant: a key has at most one green thread and one value; whoever waits for keys sees each value once, as it comes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from greenserve_hub import Event, GreenThread, getcurrent, spawn

__all__ = ["Collision", "DAGPool", "PropagateError"]

_MISSING: Any = object()


class Collision(Exception):  # eventlet's name
    """The key has a green thread or a value already."""


class PropagateError(Exception):
    """The value of a key whose green thread has raised: `key`, and the exception `exc`."""

    def __init__(self, key: Any, exc: BaseException) -> None:
        """The arguments are kept, so that it can be pickled."""
        super().__init__(key, exc)
        self.key = key
        self.exc = exc
        self.msg = str(self)

    def __str__(self) -> str:
        """The key, and what was raised, with what that passed on."""
        return f"PropagateError({self.key}): {type(self.exc).__name__}: {self.exc}"


class _Coro(NamedTuple):
    greenthread: GreenThread[Any]
    pending: set[Any]  # keys that it waits for; _raw() takes out what has come


class DAGPool:
    """Runs functions as soon as the values of the keys that they depend on are there."""

    def __init__(self, preload: Mapping[Any, Any] | Iterable[tuple[Any, Any]] = ()) -> None:
        """`preload`: values that are known already, as a dict or as pairs."""
        self.values: dict[Any, Any] = dict(preload)
        self.coros: dict[Any, _Coro] = {}
        self._posted = Event()  # replaced with each post

    # Waiting ---------------------------------------------------------------------------------------------

    def waitall(self) -> dict[Any, Any]:
        """Return all values when all green threads are done. Switches: until then. Raises PropagateError."""
        return self.wait()

    def wait(self, keys: Iterable[Hashable] = _MISSING) -> dict[Any, Any]:
        """Return the values of `keys`, by default of all. Switches: until they are there. Raises PropagateError."""
        return dict(self.wait_each(keys))

    def wait_each(self, keys: Iterable[Hashable] = _MISSING) -> Iterator[tuple[Any, Any]]:
        """Iterate over (key, value) as the values come. Switches: until the next one. Raises PropagateError."""
        return self._wait_each(self._wanted(keys))

    def wait_each_success(self, keys: Iterable[Hashable] = _MISSING) -> Iterator[tuple[Any, Any]]:
        """The same, without the keys whose green thread has raised."""
        for key, value in self._raw(self._wanted(keys)):
            if not isinstance(value, PropagateError):
                yield key, value

    def wait_each_exception(self, keys: Iterable[Hashable] = _MISSING) -> Iterator[tuple[Any, Any]]:
        """The same, with those only; the values are PropagateErrors."""
        for key, value in self._raw(self._wanted(keys)):
            if isinstance(value, PropagateError):
                yield key, value

    def _wanted(self, keys: Iterable[Hashable]) -> set[Any]:
        return set(self.values) | set(self.coros) if keys is _MISSING else set(keys)

    def _wait_each(self, pending: set[Any]) -> Iterator[tuple[Any, Any]]:
        for key, value in self._raw(pending):
            yield key, _value_or_raise(value)

    def _raw(self, pending: set[Any]) -> Iterator[tuple[Any, Any]]:
        """Iterate over (key, value), taking each key out of `pending` when its value is there."""
        while True:
            for key in [key for key in pending if key in self.values]:
                pending.remove(key)
                yield key, self.values[key]
            if not pending:
                return
            if not pending & self.values.keys():
                self._posted.wait()

    def __getitem__(self, key: Hashable) -> Any:
        """Return the value of a key. Switches: until it is there. Raises PropagateError."""
        return self.wait((key,))[key]

    # Running ---------------------------------------------------------------------------------------------

    def spawn(
        self,
        key: Hashable,
        depends: Iterable[Hashable],
        function: Callable[..., Any],
        *args: Any,
        **kwds: Any,
    ) -> None:
        """Start a green thread that calls `function(key, results, *args, **kwds)`; what it returns is the key's value.

        `results` iterates over (key, value) of what it `depends` on. Switches: never. Raises Collision.
        """
        if key in self.coros or key in self.values:
            raise Collision(key)
        pending = set(depends)
        green = spawn(self._run, function, key, self._wait_each(pending), args, kwds)
        self.coros[key] = _Coro(green, pending)

    def spawn_many(
        self, depends: Mapping[Any, Iterable[Hashable]], function: Callable[..., Any], *args: Any, **kwds: Any
    ) -> None:
        """spawn() for each key of `depends`, whose value names what it depends on. Switches: never."""
        for key, needed in depends.items():
            self.spawn(key, needed, function, *args, **kwds)

    def _run(
        self,
        function: Callable[..., Any],
        key: Hashable,
        results: Iterator[tuple[Any, Any]],
        args: tuple[Any, ...],
        kwds: dict[str, Any],
    ) -> Any:
        try:
            result = function(key, results, *args, **kwds)
        except Exception as error:
            result = PropagateError(key, error)
        finally:
            self.coros.pop(key, None)
        if key not in self.values:  # else the function has posted a value of its own
            self.post(key, result)
        return result

    def kill(self, key: Hashable) -> None:
        """Kill the key's green thread; the key is free again. Raises KeyError. Switches: as kill()."""
        self.coros[key].greenthread.kill()
        self.coros.pop(key, None)

    def post(self, key: Hashable, value: Any, replace: bool = False) -> None:
        """Set a key's value. Switches: never. Raises Collision if it has one, unless `replace`, or a green thread."""
        coro = self.coros.get(key)
        if coro is not None and coro.greenthread is not getcurrent():
            raise Collision(key)
        if key in self.values and not replace:
            raise Collision(key)
        self.values[key] = value
        posted, self._posted = self._posted, Event()
        posted.send()

    # What is there ---------------------------------------------------------------------------------------

    def get(self, key: Hashable, default: Any = None) -> Any:
        """Return the key's value, or `default`. Switches: never. Raises PropagateError."""
        return _value_or_raise(self.values.get(key, default))

    def keys(self) -> tuple[Any, ...]:
        """Return the keys that have values. Switches: never."""
        return tuple(self.values)

    def items(self) -> tuple[tuple[Any, Any], ...]:
        """Return (key, value) of the keys that have values. Switches: never. Raises PropagateError."""
        return tuple((key, _value_or_raise(value)) for key, value in self.values.items())

    def running(self) -> int:
        """Return how many green threads are not done. Switches: never."""
        return len(self.coros)

    def running_keys(self) -> tuple[Any, ...]:
        """Return their keys. Switches: never."""
        return tuple(self.coros)

    def waiting(self) -> int:
        """Return how many green threads wait for values. Switches: never."""
        return len(self.waiting_for())

    def waiting_for(self, key: Hashable = _MISSING) -> Any:
        """Return the keys that the green thread of `key` waits for, as a set; without `key`, those of each that waits.

        Switches: never. Raises KeyError for a key that has neither a green thread nor a value.
        """
        if key is not _MISSING:
            if key not in self.coros:
                self.values[key]
                return set()
            return self.coros[key].pending - self.values.keys()
        waits = {one: coro.pending - self.values.keys() for one, coro in self.coros.items()}
        return {one: missing for one, missing in waits.items() if missing}


def _value_or_raise(value: Any) -> Any:
    if isinstance(value, PropagateError):
        raise value
    return value
