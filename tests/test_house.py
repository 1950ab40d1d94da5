"""How the house is built: which folder may import which, circles, sizes, what inherits, and what READMEs name.

All of it is read from the sources with ast. Imports count at whatever depth they stand, and those under TYPE_CHECKING
count too: who needs another's type needs to know it.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

pytestmark = pytest.mark.repository

ROOT = Path(__file__).parents[1]
SOURCES = {
    "greenserve": ROOT / "server",
    "greenserve_hub": ROOT / "hub",
    "greenserve_eventlet": ROOT / "server",
}
# The package, and those below it that it may import.
BELOW = {
    "greenserve": {"greenserve_hub"},
    "greenserve_hub": set[str](),
    "greenserve_eventlet": {"greenserve", "greenserve_hub"},
}

# Each folder may import from those above it here, and from itself. "ground" are the files of a package's root that
# anything may import, "face" those that nothing below may.
ORDER = {
    "greenserve_hub": [
        "ground",
        "pollers",
        "loop",
        "sync",
        "greenthreads",
        "osthreads",
        "greenio",
        "aio",
        "diagnostics",
        "patching.stdlib",
        "patching.locks",
        "patching.green",
        "patching",
        "face",
    ],
    "greenserve": [
        "ground",
        "core",
        "proxies",
        "metrics",
        "logs",
        "config.values",
        "config.groups",
        "config",
        "loading",
        "http1",
        "websocket.framing",
        "websocket.handshake",
        "websocket",
        "wsgi.environ",
        "wsgi",
        "hooks",
        "net.sockets",
        "net.tls",
        "net.opening",
        "net.http",
        "net.websockets",
        "net.hijacked",
        "net.serving",
        "net",
        "admin",
        "process.system",
        "process",
        "process.reloading",
        "process.crew",
        "process.master",
        "commands",
        "face",
        "django",
        "django.management",
        "django.management.commands",
    ],
    "greenserve_eventlet": [
        "ground",
        "support",
        "hubs",
        "spawning",
        "greenio",
        "patching",
        "green",
        "green.OpenSSL",
        "watching",
        "pooling",
        "serving",
        "face",
        "standin.eventlet",
    ],
}
FACE = {
    "greenserve_hub": {"", "testing"},
    "greenserve": {
        "",
        "__main__",
        "attach",
        "bottle",
        "cli",
        "embedding",
        "paste",
        "patched",
        "pytest_plugin",
    },
    "greenserve_eventlet": {"", "__main__", "hook", "pth"},
}
# The sans-IO cores, with what they may import: bytes, and nothing of the world. What greenserve.core has for them
# is bytes in, results out, too.
CORES = ("greenserve.http1", "greenserve.websocket", "greenserve.proxies")
CORES_MAY_IMPORT = {"greenserve.errors", "greenserve.grammar", "greenserve.caches", "greenserve.core"}
WORLD = {
    *("socket", "ssl", "time", "os", "select", "selectors", "threading", "signal", "subprocess", "asyncio"),
    *("logging", "greenlet", "greenserve_hub", "datetime", "io", "tempfile", "pathlib"),
}


@cache
def modules() -> dict[str, Path]:
    """Every module of the packages by its dotted name."""
    found = {}
    for package, root in SOURCES.items():
        for path in [*(root / package).rglob("*.py"), *(root / package).rglob("*.pyi")]:
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imports(name: str, source: str | None = None) -> set[str]:
    """Everything that `name` imports; of the packages the module that a name is of."""
    path = modules()[name]
    found = set()
    for node in ast.walk(ast.parse(source if source is not None else path.read_text())):
        if isinstance(node, ast.Import):
            named = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = name.split(".") if path.stem == "__init__" else name.split(".")[:-1]
                base = ".".join(package[: len(package) - node.level + 1] + ([base] if base else []))
            named = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for one in named:
            while one.partition(".")[0] in SOURCES and one not in modules():
                one = one.rpartition(".")[0]
            found.add(one)
    return found - {name}


def own_imports(name: str) -> set[str]:
    return imports(name) & set(modules())


def folder(name: str) -> tuple[str, str]:
    """The package and the folder of a module."""
    top, _, rest = name.partition(".")
    if "." not in rest and modules()[name].parent == SOURCES[top] / top:
        return top, "face" if rest in FACE[top] else "ground"
    return top, rest if modules()[name].stem == "__init__" else rest.rpartition(".")[0]


def wrong_arrows(name: str, imported: set[str]) -> list[str]:
    """Those of `imported` that stand above `name`, or that a core may not know."""
    top, mine = folder(name)
    core = next((one for one in CORES if f"{name}.".startswith(f"{one}.")), None)
    wrong = []
    for other in sorted(imported):
        if other not in modules():
            good = core is None or other.split(".")[0] not in WORLD
        elif core is not None:
            good = other in CORES_MAY_IMPORT or f"{other}.".startswith(f"{core}.")
            good = good and (other in CORES_MAY_IMPORT or not _is_above(folder(other)[1], mine, top))
        elif folder(other)[0] != top:
            good = folder(other)[0] in BELOW[top]
        else:
            good = not _is_above(folder(other)[1], mine, top)
        if not good:
            wrong.append(other)
    return wrong


def _is_above(one: str, other: str, top: str) -> bool:
    return ORDER[top].index(one) > ORDER[top].index(other)


def circle(graph: dict[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


class TestImports:
    @pytest.mark.parametrize("top", sorted(SOURCES))
    def test_every_folder_has_its_place_and_every_place_a_folder(self, top):
        folders = {folder(name) for name in modules()}
        assert {its for package, its in folders if package == top} == set(ORDER[top])

    def test_run_one_way_between_folders(self):
        wrong = {name: found for name in sorted(modules()) if (found := wrong_arrows(name, imports(name)))}
        assert not wrong, "see ORDER, and CORES_MAY_IMPORT"

    @pytest.mark.parametrize(
        ("name", "source", "wrong"),
        [
            (
                "greenserve.net.http.connection",
                "import greenserve.net.serving.server",
                ["greenserve.net.serving.server"],
            ),
            (
                "greenserve.net.sockets.stream",
                "if TYPE_CHECKING:\n    from greenserve.net.http import connection",
                ["greenserve.net.http.connection"],
            ),
            ("greenserve.errors", "def f():\n    from .http1 import x", ["greenserve.http1"]),
            ("greenserve_hub.loop.parking", "from greenserve_hub import sleep", ["greenserve_hub"]),
            ("greenserve_hub.loop.parking", "from greenserve_hub.unpatched import time", []),
            ("greenserve_hub.errors", "import greenserve.errors", ["greenserve.errors"]),
            ("greenserve.errors", "import greenserve_hub.errors", []),
            ("greenserve.net", "from greenserve.process import single", ["greenserve.process.single"]),
            ("greenserve.wsgi", "import greenserve", ["greenserve"]),
            ("greenserve.http1", "import time", ["time"]),
            ("greenserve.http1", "from greenserve_hub import sleep", ["greenserve_hub"]),
            ("greenserve.http1", "from greenserve.config import Config", ["greenserve.config"]),
            ("greenserve.proxies", "import socket", ["socket"]),
            ("greenserve.proxies", "from greenserve.http1 import x", ["greenserve.http1"]),
            ("greenserve.websocket", "from greenserve.http1 import x", ["greenserve.http1"]),
            ("greenserve.config", "from greenserve.proxies import Trust", []),
            ("greenserve.config", "from greenserve.wsgi import Service", ["greenserve.wsgi"]),
            ("greenserve.net", "from greenserve.wsgi import x\nfrom greenserve_hub import y\nimport os", []),
            ("greenserve.cli", "from greenserve.process import single", []),
            ("greenserve.cli", "import greenserve_eventlet", ["greenserve_eventlet"]),
            ("greenserve_eventlet.names", "import greenserve_hub", []),
            (
                "greenserve_eventlet.hubs",
                "import greenserve_eventlet.patching",
                ["greenserve_eventlet.patching"],
            ),
        ],
    )
    def test_one_that_climbs_would_be_found(self, name, source, wrong):
        assert wrong_arrows(name, imports(name, source)) == wrong

    def test_no_file_imports_itself_in_a_circle(self):
        assert not circle({name: own_imports(name) for name in modules()})

    def test_no_folder_imports_itself_in_a_circle(self):
        graph: dict[str, set[str]] = {}
        for name in modules():
            mine = ".".join(folder(name))
            graph.setdefault(mine, set()).update(
                {".".join(folder(other)) for other in own_imports(name)} - {mine}
            )
        assert not circle(graph)

    def test_the_hub_and_the_cores_log_nothing(self):
        quiet = [name for name in modules() if name.startswith((*CORES, "greenserve_hub"))]
        assert not [name for name in quiet if "logging" in imports(name)]

    def test_a_circle_would_be_found(self):
        assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}})


def folders() -> list[Path]:
    return sorted({path.parent for path in modules().values()})


class TestFolders:
    def test_hold_at_most_twelve_modules(self):
        sizes = {str(one.relative_to(ROOT)): len(list(one.glob("*.py"))) - 1 for one in folders()}
        assert not {one: size for one, size in sizes.items() if size > 12}, (
            "a folder is what one sentence says"
        )

    def test_say_in_one_sentence_what_they_are(self):
        silent = []
        for one in folders():
            said = ast.get_docstring(ast.parse((one / "__init__.py").read_text())) or ""
            if not re.match(r"([^\n.]|\.\d)+(\n([^\n.]|\.\d)+)?\.(\s|$)", said):
                silent.append(str(one.relative_to(ROOT)))
        assert not silent

    def test_the_nearest_readme_names_every_file(self):
        unnamed = []
        for name, path in sorted(modules().items()):
            package = SOURCES[name.partition(".")[0]]
            near = [one / "README.md" for one in path.parents if one.is_relative_to(package)]
            readme = next((one for one in near if one.is_file()), None)
            if path.stem not in {"__init__", "__main__"} and not (readme and _names(readme, path)):
                unnamed.append(str(path.relative_to(ROOT)))
        assert not unnamed


def _names(readme: Path, path: Path) -> bool:
    return re.search(rf"\b{re.escape(path.name)}\b", readme.read_text()) is not None


# What inherits


def _bases(name: str) -> Iterator[tuple[str, list[str]]]:
    """The classes of a module with their bases, each by its full name."""
    tree = ast.parse(modules()[name].read_text())
    known = {node.name: f"{name}.{node.name}" for node in tree.body if isinstance(node, ast.ClassDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            known.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            bases = [base.value if isinstance(base, ast.Subscript) else base for base in node.bases]
            names = [ast.unparse(base) for base in bases]
            yield f"{name}.{node.name}", [known.get(one, one) for one in names]


def chains() -> dict[str, list[str]]:
    """The longest chain of our own bases of each class, itself first; protocols and errors count for nothing."""
    bases = {cls: its for name in modules() for cls, its in _bases(name)}

    def is_kind(cls: str, kind: str) -> bool:
        if cls.rpartition(".")[2] == kind:
            return True
        known = getattr(builtins, cls, None)
        if kind == "BaseException" and isinstance(known, type) and issubclass(known, BaseException):
            return True
        return any(is_kind(base, kind) for base in bases.get(cls, ()) if base != cls)

    def chain(cls: str) -> list[str]:
        own = [base for base in bases[cls] if base in bases and base != cls]
        own = [base for base in own if "Protocol" not in [one.rpartition(".")[2] for one in bases[base]]]
        return [cls, *max((chain(base) for base in own), key=len, default=[])]

    return {cls: chain(cls) for cls in bases if not is_kind(cls, "BaseException")}


def test_a_class_has_at_most_one_base_of_our_own_below_it():
    found = chains()
    assert any(len(one) == 2 for one in found.values()), "or nothing was read"
    assert not [" > ".join(one) for one in found.values() if len(one) > 2]


def _vague(source: str) -> list[str]:
    """What stands as a bare Any in the protocols of a module, as a parameter, a result or an attribute."""
    protocols = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ClassDef) and "Protocol" in map(ast.unparse, node.bases)
    ]
    found = []
    for protocol in protocols:
        for node in ast.walk(protocol):
            hint = node.returns if isinstance(node, ast.FunctionDef) else getattr(node, "annotation", None)
            if hint is not None and ast.unparse(hint) == "Any":
                found.append(f"{protocol.name}:{node.lineno}")
    return found


def test_the_seams_of_the_net_name_what_passes_through_them():
    files = [path for name, path in modules().items() if ".net." in name]
    assert not {path.name: found for path in files if (found := _vague(path.read_text()))}
    services = modules()["greenserve.net.http.services"].read_text()
    assert "Any" in services, "of environ; else this looks for nothing"
    assert not re.search(r"^    \w+: Any$|\[Any", services, re.MULTILINE)
    assert _vague("class Queue(Protocol):\n    def drop(self, job: Any) -> None: ...\n") == ["Queue:2"]


def test_sockets_get_plain_values_and_no_settings():
    sockets = [name for name in modules() if folder(name) == ("greenserve", "net.sockets")]
    known = {one for name in sockets for one in own_imports(name) if one.startswith("greenserve.config")}
    assert known == {"greenserve.config.values.binds"}


def test_the_net_calls_nothing_that_a_subclass_has_to_write():
    hooks = [
        name
        for name, path in modules().items()
        if ".net." in name and "NotImplementedError" in path.read_text()
    ]
    assert not hooks
