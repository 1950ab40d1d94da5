#!/usr/bin/env bash
# CPython 3.11.7 and 3.12.1: a Thread.join() that an exception ends, as Ctrl-C does, says that the thread has stopped, while it
# runs. Python 3.13 does not.
#
# join() takes a lock that is held until the thread is over. Interrupted, it takes one that is held for one that it has
# acquired itself, lets it go, and marks the thread as stopped: is_alive() is False, another join() returns at once, and
# the program does not wait for the thread at its end.
# greenserve: a join that a Timeout or kill ends leaves the thread as it is, on all versions.
PYTHON=${PYTHON:-python3.11}
source "$(dirname "$0")/lib.sh"
venv
"$work/venv/bin/python" -c 'import sys; sys.exit(sys.version_info >= (3, 13))' || { echo "needs Python 3.11 or 3.12" >&2; exit 2; }

cat >"$work/join.py" <<'PYTHON'
import signal, threading

class Late(Exception):
    pass

def late(*_):
    raise Late

signal.signal(signal.SIGALRM, late)
gate, ended = threading.Event(), threading.Event()
thread = threading.Thread(target=lambda: (gate.wait(), ended.set()))
thread.start()
signal.setitimer(signal.ITIMER_REAL, 0.1)
try:
    thread.join()
except Late:
    print(f"alive: {thread.is_alive()}")
thread.join()  # returns
print(f"joined; it has come to its end: {ended.is_set()}")
gate.set()
PYTHON

timeout 60 "$work/venv/bin/python" "$work/join.py" | tee "$work/said"
diff "$work/said" - <<'EXPECTED'
alive: False
joined; it has come to its end: False
EXPECTED
