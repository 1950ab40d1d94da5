"""Checks a file that a page shows and that no command of the page reads, by the program or library that reads it."""

from __future__ import annotations

import ast
import configparser
import json
import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import yaml
from tests.docs.blocks import Block
from tests.support.times import PATIENCE

_SBIN = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
_DOCKERFILE = set(
    [
        "FROM",
        "RUN",
        "COPY",
        "CMD",
        "ENTRYPOINT",
        "ENV",
        "WORKDIR",
        "USER",
        "EXPOSE",
        "HEALTHCHECK",
        "ARG",
        "STOPSIGNAL",
    ]
)


def check_file(block: Block, path: Path, text: str) -> None:
    """Raises AssertionError, or the reader's own error, if `text` is no such file."""
    check = CHECKS.get(block.language)
    assert check is not None, f"{block.place}: nothing checks a block of {block.language!r}"
    try:
        check(path, text)
    except Exception as error:
        error.add_note(block.place)
        raise


def _program(name: str, *arguments: str) -> None:
    """Run a program over a file, if this machine has it; CI has."""
    if (program := shutil.which(name, path=_SBIN)) is None:
        return
    done = subprocess.run(
        [program, *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout


def _python(path: Path, text: str) -> None:
    compile(text, str(path), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def _yaml(path: Path, text: str) -> None:
    for document in yaml.safe_load_all(text):
        assert isinstance(document, dict)
        if "apiVersion" in document:
            assert {"kind", "metadata", "spec"} <= set(document)


def _ini(path: Path, text: str) -> None:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    assert parser.sections()


def _nginx(path: Path, text: str) -> None:
    if "http {" not in text and "stream {" not in text:
        inside = text if "server {" in text else f"server {{ listen 127.0.0.1:1; {text} }}"
        text = f"events {{}} http {{ {inside} }}"
    conf = path.with_suffix(".nginx")
    conf.parent.mkdir(parents=True, exist_ok=True)
    conf.write_text(f"pid {path.parent}/nginx.pid; error_log stderr; {text}")
    _program("nginx", "-t", "-p", str(path.parent), "-c", str(conf))


def _haproxy(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    _program("haproxy", "-c", "-f", str(path))


_APACHE_MODULES = Path("/usr/lib/apache2/modules")
_APACHE_LOADS = (
    *("mpm_event", "authz_core", "headers", "proxy", "proxy_http", "proxy_wstunnel"),
    *("rewrite", "ssl", "socache_shmcb", "unixd"),
)


def apache_conf(folder: Path, text: str) -> str:
    """A whole configuration around a virtual host."""
    found = [name for name in _APACHE_LOADS if (_APACHE_MODULES / f"mod_{name}.so").exists()]
    loaded = [f"LoadModule {name}_module {_APACHE_MODULES}/mod_{name}.so" for name in found]
    return "\n".join([f"ServerRoot {folder}", "ServerName localhost", "ErrorLog /dev/stderr", *loaded, text])


def _apache(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    conf = path.with_suffix(".apache")
    conf.write_text(apache_conf(path.parent, text))
    _program("apache2", "-t", "-f", str(conf))


def _caddy(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    _program("caddy", "adapt", "--config", str(path), "--adapter", "caddyfile")


def _dockerfile(path: Path, text: str) -> None:
    lines = [line for line in re.sub(r"\\\n", " ", text).splitlines() if line and not line.startswith("#")]
    assert lines[0].startswith("FROM ")
    assert {line.split()[0] for line in lines} <= _DOCKERFILE


def _nothing(path: Path, text: str) -> None:
    """What a program has printed, or a file of words."""


CHECKS: dict[str, Callable[[Path, str], None]] = {
    "python": _python,
    "toml": lambda path, text: tomllib.loads(text) and None,
    "json": lambda path, text: json.loads(text) and None,
    "yaml": _yaml,
    "ini": _ini,
    "nginx": _nginx,
    "haproxy": _haproxy,
    "apache": _apache,
    "caddy": _caddy,
    "dockerfile": _dockerfile,
    "text": _nothing,
}
