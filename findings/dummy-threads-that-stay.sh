#!/usr/bin/env bash
# threading.enumerate() lists OS threads that have ended, for ever, where these were not made by threading and have logged a line.
#
# Seen with CPython 3.11.7 and 3.12.1, where all 20 stay; with 3.13.0 none does. Whoever asks threading.current_thread() in an OS thread that
# threading has not started, as each logging.LogRecord does, becomes a _DummyThread in threading's table; until 3.12 nothing took it out
# again but the next OS thread with the same number. So a count by threading.active_count() grows with what
# watchdogs, C extensions and pools of a server's own do, and says nothing of how many OS threads there are: count /proc/self/task instead.
. "$(dirname "$0")/lib.sh"
venv

cat >"$work/try.py" <<'PY'
import _thread
import logging
import os
import sys
import threading
import time

logging.basicConfig(stream=open(os.devnull, "w"))
logged = [_thread.allocate_lock() for _ in range(20)]
end = _thread.allocate_lock()
end.acquire()


def run(done):
    logging.warning("a line")
    done.release()
    with end:  # all at once, so that no two have the same number
        pass


for done in logged:
    done.acquire()
    _thread.start_new_thread(run, (done,))
for done in logged:
    done.acquire()
end.release()
for attempt in range(100):
    time.sleep(0.05)
    if len(os.listdir("/proc/self/task")) == 1:
        break
stay = threading.active_count() - 1
print(sys.version.split()[0], "OS threads:", len(os.listdir("/proc/self/task")), "dummies that stay:", stay)
sys.exit(stay != (20 if sys.version_info < (3, 13) else 0))
PY
timeout 60 "$work/venv/bin/python" "$work/try.py"
