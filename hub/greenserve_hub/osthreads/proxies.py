"""Proxy: wraps an object, and runs its methods in OS threads.

For a client library in C that was not written for green threads: wrap its connection once, and use it as before. Knows
nothing of the wrapped object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from greenserve_hub.osthreads.thread_pools import shared


class Proxy:
    """Wraps `obj`: its method calls, subscripts and iteration run in OS threads (threads.execute).

    The result of a method is wrapped too if it is an instance of a type in `autowrap`, or if the method is named in
    `autowrap_names`. Plain attributes are read and set directly. Switches: with every call.
    """

    _obj: Any
    _autowrap: tuple[type, ...]
    _autowrap_names: frozenset[str]

    def __init__(
        self, obj: object, autowrap: Iterable[type] = (), autowrap_names: Iterable[str] = ()
    ) -> None:
        """Wrap `obj`."""
        object.__setattr__(self, "_obj", obj)
        object.__setattr__(self, "_autowrap", tuple(autowrap))
        object.__setattr__(self, "_autowrap_names", frozenset(autowrap_names))

    def _call(self, name: str, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        result = shared.execute(fn, *args, **kwargs)
        if name in self._autowrap_names or isinstance(result, self._autowrap):
            return type(self)(result, self._autowrap, self._autowrap_names)
        return result

    def __getattr__(self, name: str) -> Any:
        """Return an attribute; a method runs in an OS thread when called."""
        value = getattr(self._obj, name)
        return partial(self._call, name, value) if callable(value) else value

    def __setattr__(self, name: str, value: object) -> None:
        """Set it on the object itself."""
        setattr(self._obj, name, value)

    def __delattr__(self, name: str) -> None:
        """Delete it on the object itself."""
        delattr(self._obj, name)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Call the object in an OS thread."""
        return self._call("__call__", self._obj, *args, **kwargs)

    def __getitem__(self, key: object) -> Any:
        """Runs in an OS thread."""
        return self._call("__getitem__", self._obj.__getitem__, key)

    def __setitem__(self, key: object, value: object) -> None:
        """Runs in an OS thread."""
        shared.execute(self._obj.__setitem__, key, value)

    def __delitem__(self, key: object) -> None:
        """Runs in an OS thread."""
        shared.execute(self._obj.__delitem__, key)

    def __iter__(self) -> Iterator[Any]:
        """Each step runs in an OS thread."""
        items = shared.execute(iter, self._obj)
        end = object()
        while (item := self._call("__next__", next, items, end)) is not end:
            yield item

    def __next__(self) -> Any:
        """Runs in an OS thread."""
        end = object()
        item = self._call("__next__", next, self._obj, end)
        if item is end:  # StopIteration cannot be passed through a frame that waits
            raise StopIteration
        return item

    def __enter__(self) -> Any:
        """Runs in an OS thread. Returns this Proxy if the object returns itself."""
        entered = self._call("__enter__", self._obj.__enter__)
        return self if entered is self._obj else entered

    def __exit__(self, *error: Any) -> Any:
        """Runs in an OS thread."""
        return shared.execute(self._obj.__exit__, *error)

    def __len__(self) -> int:
        """Runs in an OS thread."""
        return shared.execute(len, self._obj)

    def __bool__(self) -> bool:
        """Runs in an OS thread."""
        return shared.execute(bool, self._obj)

    def __contains__(self, item: object) -> bool:
        """Runs in an OS thread."""
        return shared.execute(lambda: item in self._obj)

    def __eq__(self, other: object) -> bool:
        """Compare the object, also with another Proxy's."""
        return bool(self._obj == (other._obj if isinstance(other, Proxy) else other))

    def __hash__(self) -> int:
        """Return that of the object."""
        return hash(self._obj)

    def __dir__(self) -> Iterable[str]:
        """Return that of the object."""
        return dir(self._obj)

    def __repr__(self) -> str:
        """Return the text for dumps."""
        return f"<Proxy of {self._obj!r}>"

    def __str__(self) -> str:
        """Return that of the object."""
        return str(self._obj)
