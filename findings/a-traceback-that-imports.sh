#!/usr/bin/env bash
# Formatting a traceback runs the program's own code again, and may raise, where a module of a package was not found.
#
# Seen with CPython 3.15 (Debian sid): traceback.format_exception() of a ModuleNotFoundError looks whether there is an extension module for
# another Python, and imports the parent package for that. Where the package failed to import, because of that very module say, its code
# runs once more, and the error is raised out of format_exception(), and out of pytest as an INTERNALERROR. The interpreter's own report of the
# same error is as it was. 3.11, 3.13 and 3.14 import nothing.
# Whoever formats tracebacks of others' code, as servers do, has to catch that; greenserve prints the stack without it.
PYTHON=${PYTHON:-python3.15}
. "$(dirname "$0")/lib.sh"
venv

mkdir "$work/shop"
cat >"$work/shop/__init__.py" <<'PY'
import builtins

builtins.times = getattr(builtins, "times", 0) + 1
import shop.nothing
PY
cat >"$work/try.py" <<'PY'
import builtins
import sys
import traceback

try:
    import shop
except ModuleNotFoundError as error:
    try:
        said = traceback.format_exception(error)[-1].strip()
    except ModuleNotFoundError as another:
        said = f"format_exception() raised {another!r}"
print(sys.version.split()[0], "| the package's code has run", builtins.times, "times |", said)
sys.exit((builtins.times, "raised" in said) != ((2, True) if sys.version_info >= (3, 15) else (1, False)))
PY
cd "$work"
timeout 60 "$work/venv/bin/python" try.py
