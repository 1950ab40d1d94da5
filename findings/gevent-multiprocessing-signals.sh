#!/usr/bin/env bash
# gevent 26.9.0 (seen on Python 3.11.7): a program that sends a multiprocessing Connection is deaf to signals from then on.
#
# A descriptor that is sent is handed out by a thread of multiprocessing, which blocks all signals, for itself as it
# means. As a green thread it does so for the OS thread of the whole program: neither SIGTERM nor Ctrl-C reaches it.
# greenserve: a green thread's signal mask holds until it gives way (hub/greenserve_hub/patching/green/green_signal.py).
source "$(dirname "$0")/lib.sh"
venv gevent==26.9.0

cat >"$work/send.py" <<'PYTHON'
from gevent import monkey
monkey.patch_all()
import multiprocessing, os, signal, time

context = multiprocessing.get_context("fork")
ours, theirs = context.Pipe()
one, other = context.Pipe()

def blocked():
    return signal.SIGTERM in signal.pthread_sigmask(signal.SIG_BLOCK, ())

before = blocked()
ours.send(other)
time.sleep(0.1)
print(f"SIGTERM is blocked: {before} before, {blocked()} after", flush=True)
os._exit(0)
PYTHON

timeout 60 "$work/venv/bin/python" "$work/send.py" | tee "$work/said"
diff "$work/said" - <<'EXPECTED'
SIGTERM is blocked: False before, True after
EXPECTED
