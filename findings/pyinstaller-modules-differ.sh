#!/usr/bin/env bash
# PyInstaller 6.22.3, CPython 3.11: in a frozen program three things that programs rely on are otherwise.
#
#   imported before its first line: select, socket, subprocess, threading
#   a module's loader reads sources: False
#   a frame's file is its module's __file__: False
#
# The first three come with a hook that runs ahead of programs which import multiprocessing, be it by way of asyncio: "patch
# before all other imports" cannot be done there. A runtime that looks for modules in Python by their loader, or for its
# own frames by __file__, finds none.
source "$(dirname "$0")/lib.sh"
venv pyinstaller==6.22.3

cat >"$work/helper.py" <<'PY'
import sys

def frames_file():
    return sys._getframe().f_code.co_filename
PY
cat >"$work/program.py" <<'PY'
import sys

early = [name for name in ("select", "socket", "subprocess", "threading") if name in sys.modules]
import asyncio, importlib.abc

import helper

reads_sources = isinstance(helper.__loader__, importlib.abc.SourceLoader)
same = helper.frames_file() == helper.__file__
print("imported before its first line:", ", ".join(early))
print("a module's loader reads sources:", reads_sources)
print("a frame's file is its module's __file__:", same)
sys.exit(not (len(early) == 4 and not reads_sources and not same))
PY
cd "$work"
timeout 300 venv/bin/python -m PyInstaller --log-level ERROR program.py
timeout 60 dist/program/program
