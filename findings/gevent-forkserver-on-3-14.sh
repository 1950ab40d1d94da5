#!/usr/bin/env bash
# gevent 26.9.0 on Python 3.14.10: monkey.patch_all() makes fork the start method of multiprocessing again, and forkserver,
# Python 3.14's own choice, can't be had by name.
#
# The change is in gevent's documentation of patch_subprocess(). A forkserver of 3.14 authenticates its client over the
# bare number of a socket, which under gevent is in non-blocking mode: BlockingIOError from Process.start().
# greenserve: the start method stays as it was, and calls by number wait as the socket would.
PYTHON=${PYTHON:-python3.14}
source "$(dirname "$0")/lib.sh"
venv gevent==26.9.0
"$work/venv/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 14))' || { echo "needs Python 3.14" >&2; exit 2; }

cat >"$work/start.py" <<'PYTHON'
import multiprocessing, sys

def method():
    return multiprocessing.get_start_method(allow_none=False)

if __name__ == "__main__":
    if sys.argv[1:] == ["patched"]:
        from gevent import monkey
        monkey.patch_all()
    process = multiprocessing.get_context("forkserver").Process(target=method)
    try:
        process.start()
        process.join()
        said = process.exitcode
    except BlockingIOError as error:
        said = type(error).__name__
    print(f"the default is {method()}; a process of forkserver: {said}", flush=True)
PYTHON

for how in as-it-is patched; do
  timeout 60 "$work/venv/bin/python" -W ignore "$work/start.py" "$how"
done | tee "$work/said"
diff "$work/said" - <<'EXPECTED'
the default is forkserver; a process of forkserver: 0
the default is fork; a process of forkserver: BlockingIOError
EXPECTED
