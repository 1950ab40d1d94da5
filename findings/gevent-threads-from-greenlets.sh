#!/usr/bin/env bash
# gevent 26.9.0 (seen on Python 3.11.7): a threading.Thread that is started in a greenlet of gevent.spawn() is a daemon, though nothing
# has asked for one, and the program ends without waiting for it.
#
# threading takes `daemon` from the current thread. In a greenlet that is a dummy one, made up for who is no Thread, and those are
# daemons. A Thread that is started in the main greenlet is none, and is waited for.
# greenserve: the same, since threading.py is the standard library's. What a request starts keeps no process; say daemon=False
# where it should.
source "$(dirname "$0")/lib.sh"
venv gevent==26.9.0

cat >"$work/program.py" <<'PYTHON'
from gevent import monkey

monkey.patch_all()
import sys, threading, time
import gevent


def work():
    time.sleep(0.3)
    print("  its work is done", flush=True)


def start():
    thread = threading.Thread(target=work)
    thread.start()
    print(f"started in {sys.argv[1]}: daemon={thread.daemon}", flush=True)


if sys.argv[1] == "a greenlet":
    gevent.spawn(start).join()
else:
    start()
PYTHON

for where in "the main greenlet" "a greenlet"; do
  timeout 30 "$work/venv/bin/python" "$work/program.py" "$where"
done | tee "$work/said"
diff "$work/said" - <<'EXPECTED'
started in the main greenlet: daemon=False
  its work is done
started in a greenlet: daemon=True
EXPECTED
