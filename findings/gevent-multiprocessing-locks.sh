#!/usr/bin/env bash
# gevent 26.9.0 and eventlet 0.41.3 leave multiprocessing's locks and queues as they are (seen on Python 3.11.7, 3.12.1, 3.13.0).
#
# An RLock's owner is an OS thread, which all green threads share: three of them are within it at once. A put() into a
# full Queue waits in C, where the green thread that feeds the pipe can't run, so that the queue stays full and put()
# raises queue.Full after its timeout. A wait without a timeout stops the whole program.
# greenserve: waits in an OS thread of its own (hub/greenserve_hub/patching/locks/process_locks.py), and both are as with threads.
source "$(dirname "$0")/lib.sh"
venv gevent==26.9.0 eventlet==0.41.3

cat >"$work/locks.py" <<'PYTHON'
import sys

if sys.argv[1] == "gevent":
    from gevent import monkey
    monkey.patch_all()
else:
    import eventlet
    eventlet.monkey_patch()
import multiprocessing, os, threading, time

context = multiprocessing.get_context("fork")
lock, inside, most = context.RLock(), 0, 0

def enter():
    global inside, most
    with lock:
        inside += 1
        most = max(most, inside)
        time.sleep(0.05)
        inside -= 1

threads = [threading.Thread(target=enter) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
queue = context.Queue(1)
queue.put(1)
try:
    queue.put(2, timeout=0.5)
    second = "put"
except Exception as error:
    second = type(error).__name__
print(f"{sys.argv[1]}: {most} at once within an RLock; a second put into a Queue of 1: {second}")
sys.stdout.flush()
os._exit(0)  # the feeder is a green thread that others would wait for
PYTHON

for patch in gevent eventlet; do
  timeout 60 "$work/venv/bin/python" -W ignore "$work/locks.py" "$patch"
done | tee "$work/said"
diff "$work/said" - <<'EXPECTED'
gevent: 3 at once within an RLock; a second put into a Queue of 1: Full
eventlet: 3 at once within an RLock; a second put into a Queue of 1: Full
EXPECTED
