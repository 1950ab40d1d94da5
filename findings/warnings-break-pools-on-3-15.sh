#!/usr/bin/env bash
# Python 3.15.2 with -W error: an exception in a worker that was started by spawn breaks the pool.
#
# The worker describes the exception with its traceback, which asks linecache for the lines of the program. As the program
# was imported once more by multiprocessing, its globals have no __spec__, of which 3.15 warns: DeprecationWarning
# "Module globals is missing a __spec__.loader". As an error it ends the worker: BrokenProcessPool in the place of the
# exception. Python 3.14 does not warn.
# greenserve: tests of such programs ignore this warning; an app's test suite with filterwarnings = error meets it too.
PYTHON=${PYTHON:-python3.15}
source "$(dirname "$0")/lib.sh"
venv
"$work/venv/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 15))' || { echo "needs Python 3.15" >&2; exit 2; }

cat >"$work/divide.py" <<'PYTHON'
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

def divide(a, b):
    return a / b

if __name__ == "__main__":
    for method in ("fork", "spawn"):
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as executor:
            print(f"{method}: {type(executor.submit(divide, 1, 0).exception()).__name__}")
PYTHON

for action in default error; do
  timeout 60 "$work/venv/bin/python" -W "$action" "$work/divide.py" 2>/dev/null | sed "s/^/-W $action, /"
done | tee "$work/said"
diff "$work/said" - <<'EXPECTED'
-W default, fork: ZeroDivisionError
-W default, spawn: ZeroDivisionError
-W error, fork: ZeroDivisionError
-W error, spawn: BrokenProcessPool
EXPECTED
