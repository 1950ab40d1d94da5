"""Compiles greenserve._core into the wheel, or says why the wheel is pure Python.

hatchling calls it for a wheel and for `pip install -e`. setuptools compiles. GREENSERVE_PURE=1, another interpreter
than CPython, and a machine without a compiler or Python's headers give a wheel that runs everywhere.
"""

from __future__ import annotations

import os
import platform
import shutil
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCES = "server/greenserve/core"


class CoreBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """The hook "custom" of hatchling."""

    PLUGIN_NAME = "custom"
    _temporary: Path | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and have the wheel contain the result and carry this interpreter's tag."""
        reason = why_pure()
        built = None
        if not reason:
            try:
                built = self._compile(in_place=version == "editable")
            except Exception as error:
                reason = f"the C could not be compiled: {error}"
        if built is None:
            if os.environ.get("GREENSERVE_CORE") == "required":
                raise RuntimeError(f"greenserve._core is required, by GREENSERVE_CORE, but {reason}")
            self.app.display_warning(f"greenserve: pure Python, without greenserve._core: {reason}")
            return
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        if version != "editable":
            build_data["force_include"][str(built)] = f"greenserve/{built.name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """The wheel is written: remove what was compiled for it."""
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def _compile(self, in_place: bool) -> Path:
        from setuptools import Distribution, Extension

        root = Path(self.root)
        # In a checkout what has not changed is not compiled again.
        temporary = root / "build" / f"core-{sysconfig.get_config_var('SOABI')}"
        if not in_place:
            temporary = self._temporary = Path(tempfile.mkdtemp())
        extension = Extension(
            "greenserve._core",
            sorted(str(path) for path in (root / SOURCES).glob("*.c")),
            depends=sorted(str(path) for path in (root / SOURCES).glob("*.h")),
            extra_compile_args=os.environ.get("GREENSERVE_CFLAGS", "-O2 -Wall").split(),
            extra_link_args=os.environ.get("GREENSERVE_LDFLAGS", "").split(),
        )
        distribution = Distribution({"name": "greenserve", "ext_modules": [extension]})
        command = distribution.get_command_obj("build_ext")
        command.build_lib = str(root / "server" if in_place else temporary / "lib")
        command.build_temp = str(temporary)
        command.ensure_finalized()
        command.run()
        (built,) = command.get_outputs()
        return Path(built)


def why_pure() -> str:
    """Return why nothing is compiled; "" if it is."""
    if os.environ.get("GREENSERVE_PURE", "") not in ("", "0"):
        return "GREENSERVE_PURE is set"
    if platform.python_implementation() != "CPython":
        return "the C is for CPython"
    return ""
