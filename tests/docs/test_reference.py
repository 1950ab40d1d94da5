"""What pages name is there: settings, names, environ keys, messages, links to the reference; and none is missing."""

from __future__ import annotations

import ast
import importlib
import re
from functools import cache

import pytest
from docs.generated import expand
from tests.docs.blocks import DOCS, PAGES, ROOT
from tests.docs.reader import NOT_RUN

import greenserve
from greenserve.config import SETTINGS
from greenserve.config.hooks import HOOKS
from greenserve.metrics.names import METRICS

pytestmark = [pytest.mark.repository, pytest.mark.no_hub]

SOURCES = [
    path for package in ("server/greenserve", "hub/greenserve_hub") for path in (ROOT / package).rglob("*.py")
]
ELSEWHERE = "moving/"  # its tables name the flags of other servers
_FILES = set(
    [
        "toml",
        "service",
        "socket",
        "conf",
        "sock",
        "sh",
        "cfg",
        "d",
        "token",
        "error",
        "access",
        "hooks",
        "eventlet",
    ]
)


def text_of(name: str) -> str:
    return expand((DOCS / name).read_text(encoding="utf-8"))


def test_each_setting_has_its_place_in_the_reference() -> None:
    page = text_of("reference/settings.md")
    assert not [one.name for one in SETTINGS.values() if f"### `{one.flag}" not in page]
    assert not [one.name for one in SETTINGS.values() if f"variable `{one.env}`" not in page]


def test_each_hook_has_its_line() -> None:
    page = text_of("reference/hooks.md")
    assert not [name for name in HOOKS if f"| `{name}(" not in page]


def test_each_metric_has_its_line() -> None:
    page = text_of("observability.md")
    assert not [one.family for one in METRICS if f"`greenserve_{one.family}" not in page]


def test_each_example_has_its_place() -> None:
    rows = re.findall(
        r"^\| `([\w./]+)` \|", (ROOT / "apps/README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    page = text_of("examples.md")
    assert len(rows) > 5
    assert not [name for name in rows if f"## {name} {{" not in page]


def test_each_public_name_is_in_the_api() -> None:
    pages = text_of("reference/api.md") + text_of("reference/api-runtime.md")
    described = set(re.findall(r"^::: greenserve\.(\w+)", pages, re.MULTILINE))
    for heading in re.findall(r"^### (`.*)$", pages, re.MULTILINE):
        described.update(re.findall(r"`(\w+)", heading))
    assert set(greenserve.__all__) <= described


@cache
def _strings() -> list[str]:
    """The texts of the code, with `…` for what is put in at run time."""
    found = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [one.value if isinstance(one, ast.Constant) else "…" for one in node.values]
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(re.sub(r"%[-.\d]*[a-z]|\{\w*\}", "…", node.value))
    return found


def test_environ_keys_that_the_server_sets_are_in_the_reference() -> None:
    keys = {one for one in _strings() if re.fullmatch(r"greenserve\.[a-z_]+|SSL_[A-Z_]+", one)}
    keys -= {"greenserve.error", "greenserve.access", "greenserve.toml"}  # loggers, a file
    keys = {one for one in keys if not _is_module("greenserve", one.partition(".")[2])}
    page = text_of("reference/environ.md")
    assert len(keys) > 10
    assert not [key for key in keys if f"`{key}" not in page]


def test_each_message_of_the_troubleshooting_is_one_of_the_code() -> None:
    rows = re.findall(r"^\| `(.+?)` \|", text_of("troubleshooting.md"), re.MULTILINE)
    assert len(rows) > 40
    unknown = []
    for message in rows:
        pattern = re.compile(".*".join(re.escape(part.strip()) for part in message.split("…")), re.DOTALL)
        if not any(pattern.search(one) for one in _strings()) and not hasattr(greenserve, message):
            unknown.append(message)
    assert not unknown


def test_each_name_of_ours_on_a_page_is_there() -> None:
    unknown = []
    for page in [*PAGES, ROOT / "README.md"]:
        text = page.read_text(encoding="utf-8")
        for package, rest in re.findall(r"\b(greenserve|greenserve_hub)\.([A-Za-z_][\w.]*)", text):
            names = rest.rstrip(".").split(".")
            if names[0] in _FILES or f"`greenserve.{names[0]}" in text_of("reference/environ.md"):
                continue
            if not _is_there(package, names):
                unknown.append(f"{page.name}: {package}.{rest}")
    assert not unknown


def _is_there(package: str, names: list[str]) -> bool:
    value = importlib.import_module(package)
    for number, name in enumerate(names):
        if not hasattr(value, name):
            return _is_module(package, *names[: number + 1])
        value = getattr(value, name)
    return True


def _is_module(package: str, *names: str) -> bool:
    module = ROOT.joinpath({"greenserve": "server", "greenserve_hub": "hub"}[package], package, *names)
    return module.with_suffix(".py").is_file() or module.is_dir()


def test_each_flag_on_a_page_is_a_setting() -> None:
    ours = {flag for one in SETTINGS.values() for flag in (one.flag, *one.aliases)}
    ours |= {f"--no-{one.flag[2:]}" for one in SETTINGS.values() if not one.kind.metavar}
    ours |= {
        "--help",
        "--version",
        "--config",
        "--print-config",
        "--check-config",
        "--hubs",
        "--run",
        "--eventlet",
    }
    unknown = []
    for page in PAGES:
        if page.relative_to(DOCS).as_posix().startswith(ELSEWHERE):
            continue
        text = page.read_text(encoding="utf-8")
        spans = re.findall(r"`(--[a-z][\w-]+)", text)
        spans += [
            flag
            for line in re.findall(r"^\$ greenserve (?!top|health)(.*)$", text, re.MULTILINE)
            for flag in re.findall(r"(?<!\S)(--[a-z][\w-]+)", line)
        ]
        unknown += [f"{page.name}: {flag}" for flag in spans if flag not in ours | OF_OTHERS]
    assert not unknown


# Flags of other programs that pages name.
OF_OTHERS = {"--init", "--ulimit", "--hidden-import"}


def test_links_of_the_readme_lead_somewhere() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(links) > 20
    assert not [link for link in links if not (ROOT / link).exists()]


def test_pages_hold_no_path_of_a_machine() -> None:
    assert not [page for page in PAGES if re.search(r"/(?:root|w|work)/", page.read_text(encoding="utf-8"))]


def test_what_is_not_run_has_its_reason() -> None:
    assert all(NOT_RUN["commands"].values())
    assert all(NOT_RUN["blocks"].values())
    used = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert not [
        one for one in NOT_RUN["commands"] if not re.search(rf"^\$ (?:sudo )?{one} ", used, re.MULTILINE)
    ]
    assert not [
        one
        for one in NOT_RUN["packages"]
        if not re.search(rf"^\$ pip install .*\b{one}\b", used, re.MULTILINE)
    ]
    assert not [one for one in NOT_RUN["blocks"] if f"```{one}" not in used]
