#!/usr/bin/env bash
# eventlet 0.41.3 (seen on Python 3.11.7): a patched program can't send a multiprocessing Connection to another process.
#
# multiprocessing.reduction asks socket.socket for sendmsg(), which eventlet's class does not have, and says that the
# system can't do it: ValueError('SCM_RIGHTS appears not to be available'). The start method forkserver is refused alike.
# greenserve: its sockets have sendmsg() and recvmsg().
source "$(dirname "$0")/lib.sh"
venv eventlet==0.41.3

cat >"$work/send.py" <<'PYTHON'
import sys
if sys.argv[1:] == ["patched"]:
    import eventlet
    eventlet.monkey_patch()
import multiprocessing, os

context = multiprocessing.get_context("fork")
ours, theirs = context.Pipe()
one, other = context.Pipe()
try:
    ours.send(other)
    said = "sent"
except ValueError as error:
    said = error
try:
    multiprocessing.get_context("forkserver")
    method = "there"
except ValueError as error:
    method = error
print(f"a Connection: {said}; forkserver: {method}", flush=True)
os._exit(0)
PYTHON

for how in as-it-is patched; do
  timeout 60 "$work/venv/bin/python" -W ignore "$work/send.py" "$how"
done | tee "$work/said"
diff "$work/said" - <<'EXPECTED'
a Connection: sent; forkserver: there
a Connection: SCM_RIGHTS appears not to be available; forkserver: forkserver start method not available
EXPECTED
