#!/usr/bin/env bash
# coverage 7.17.5 with its core in C, gevent 26.9.0 patched, CPython 3.11: of a program whose threads and greenlets wait,
# coverage counts each line with `concurrency = gevent`, but not with `thread` (the default) nor with `thread,gevent`:
#
#   thread: 2 lines missed
#   thread,gevent: 6 lines missed
#   gevent: 0 lines missed
#
# greenlet leaves sys.settrace's function as it is at a switch. The one that coverage sets in each new thread replaces the
# one before it for all greenlets, and a tracer that takes several stacks for one loses count. greenserve exchanges
# the function at a switch, and the three are the same there.
source "$(dirname "$0")/lib.sh"
venv coverage==7.17.5 gevent==26.9.0

cat >"$work/program.py" <<'PY'
from gevent import monkey; monkey.patch_all()
import gevent, threading, time
def in_thread():
    time.sleep(0.001)
    given = deeper(1)
    time.sleep(0.001)
    return given
def in_greenlet():
    time.sleep(0.001)
    given = deeper(2)
    time.sleep(0.001)
    return given
def deeper(value):
    time.sleep(0.001)
    return value
greenlets = [gevent.spawn(in_greenlet) for _ in range(3)]
threads = [threading.Thread(target=in_thread) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
gevent.joinall(greenlets)
PY

cd "$work"
missed() {
  printf '[run]\nconcurrency = %s\n' "$1" >rc
  rm -f .coverage*
  COVERAGE_CORE=ctrace timeout 60 venv/bin/python -m coverage run --rcfile=rc program.py
  venv/bin/python -m coverage json --rcfile=rc -q -o told.json --include=program.py
  venv/bin/python -c 'import json; print(json.load(open("told.json"))["totals"]["missing_lines"])'
}
status=0
for concurrency in thread thread,gevent gevent; do
  lines=$(missed $concurrency)
  echo "$concurrency: $lines lines missed"
  if [[ $concurrency == gevent ]]; then ((lines == 0)) || status=1; else ((lines > 0)) || status=1; fi
done
exit $status
