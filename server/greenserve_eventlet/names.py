"""Where eventlet's modules are here, and the finder that imports them under eventlet's names.

Facts: eventlet has thirty modules side by side; here they are sorted into folders. Programs import
`greenserve_eventlet.greenpool`, or `eventlet.greenpool` once hook.py has taken that name. Decision: the finder imports
the module from its folder, and enters the same object under the other name. Invariant: a module is loaded once, so its
classes are the same under both names.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Final

OURS: Final = "greenserve_eventlet"
# eventlet's name: the folder it is in. Modules that have the same place as in eventlet are not listed.
FOLDERS: Final = {
    "convenience": "serving",
    "wsgi": "serving",
    "websocket": "serving",
    "coros": "spawning",
    "corolocal": "spawning",
    "event": "spawning",
    "greenpool": "spawning",
    "greenthread": "spawning",
    "lock": "spawning",
    "queue": "spawning",
    "semaphore": "spawning",
    "timeout": "spawning",
    "tpool": "spawning",
    "dagpool": "pooling",
    "db_pool": "pooling",
    "pools": "pooling",
    "asyncio": "patching",
    "patcher": "patching",
    "backdoor": "watching",
    "debug": "watching",
}
# Modules that are nothing but a green copy of a module of the standard library.
COPIES: Final = {
    "green.BaseHTTPServer": "http.server",
    "green.asynchat": "asynchat",
    "green.asyncore": "asyncore",
    "green.CGIHTTPServer": "http.server",
    "green.ftplib": "ftplib",
    "green.http": "http",
    "green.http.client": "http.client",
    "green.http.cookiejar": "http.cookiejar",
    "green.http.cookies": "http.cookies",
    "green.http.server": "http.server",
    "green.httplib": "http.client",
    "green.os": "os",
    "green.queue": "queue",
    "green.Queue": "queue",
    "green.select": "select",
    "green.SimpleHTTPServer": "http.server",
    "green.SocketServer": "socketserver",
    "green.urllib": "urllib",
    "green.urllib.request": "urllib.request",
    "green.urllib2": "urllib.request",
    "green.selectors": "selectors",
    "green.socket": "socket",
    "green.subprocess": "subprocess",
    "green.threading": "threading",
    "green.time": "time",
}
# What a copy uses of the others. Without it, a copy would take what the program has imported already, which waits in
# the kernel.
_USES: Final = {
    "asynchat": ("green.asyncore",),
    "http.cookiejar": ("green.http.client", "green.urllib.request"),
    "http.server": ("green.http.client", "green.SocketServer"),
    "urllib.request": ("green.http.client",),
}

# Modules that are another one of ours under a second name.
ALSO: Final = {"green._socket_nodns": "green.socket"}
# Modules that wait for nothing, so that they are the standard ones: what urllib.request raises is what programs catch.
STANDARD: Final = {
    "green.urllib.error": "urllib.error",
    "green.urllib.parse": "urllib.parse",
    "green.urllib.response": "urllib.response",
}


class Names(MetaPathFinder):
    """Finds modules of ours under eventlet's names, in the package of ours and in those that take() names."""

    def __init__(self) -> None:
        """Serve `greenserve_eventlet` alone."""
        self._also: set[str] = set()

    def take(self, name: str) -> None:
        """Serve the package `name` as well. Switches: never."""
        self._also.add(name)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how to load `fullname`, or None if it is none of ours."""
        top, _, rest = fullname.partition(".")
        if top == OURS and rest in FOLDERS:
            return ModuleSpec(fullname, _Same(f"{OURS}.{FOLDERS[rest]}.{rest}"))
        if top == OURS and rest in ALSO:
            return ModuleSpec(fullname, _Same(f"{OURS}.{ALSO[rest]}"))
        if top == OURS and rest in STANDARD:
            return ModuleSpec(fullname, _Same(STANDARD[rest]))
        if top == OURS and rest in COPIES:
            return ModuleSpec(fullname, _Copy(COPIES[rest]), is_package=_is_package(rest))
        if top in self._also:
            return ModuleSpec(fullname, _Same(f"{OURS}.{rest}" if rest else OURS))
        return None


def _is_package(name: str) -> bool:
    return any(one.startswith(f"{name}.") for one in COPIES)


class _Same(Loader):
    """Enters a module of ours under one more name."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._spec: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        try:
            module = import_module(self._place)
        except ModuleNotFoundError as error:
            if error.name == self._place:
                raise ModuleNotFoundError(f"No module named {spec.name!r}", name=spec.name) from None
            raise
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec  # importlib has just replaced it; the module itself has run already


class _Copy(Loader):
    """Makes a green copy of a module of the standard library."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._package = ""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        from greenserve_hub.patching.originals import green_modules, import_patched

        self._package = spec.name
        for standard in STANDARD.values():
            import_module(standard)  # a copy takes over what is imported already
        used = {}
        for name in _USES.get(self._name, ()):
            used[COPIES[name]] = import_module(f"{OURS}.{name}")
            if package := name.rpartition(".")[0].removeprefix("green").removeprefix("."):
                # `import http.client` binds the package.
                used[package] = import_module(f"{OURS}.green.{package}")
        return green_modules().get(self._name) or import_patched(self._name, *used.items())

    def exec_module(self, module: ModuleType) -> None:
        if hasattr(module, "__path__"):  # or modules of it would be the standard ones
            module.__path__ = []  # to a finder in front of ours, as pytest has one
            module.__name__ = self._package  # to `from package import module`


NAMES: Final = Names()
sys.meta_path.insert(0, NAMES)
