#!/usr/bin/env bash
# greenlet 3.5.6 on CPython 3.13.0 (and 3.12): a frame that waits in a greenlet while sys.settrace(None) is in force for a
# moment loses its `return` event, although tracing is on again when it goes on:
#
#   returns that were told: inner no, outer yes
#
# (on 3.11: inner yes.) From 3.12 on CPython rewrites code when the first tracer begins and the last ends: all code on the
# stacks of its threads at once, other code when it is next called. A greenlet's stack is not one of them: a function that was
# called meanwhile is rewritten, and the waiting frame of the same function goes on without events. A tracer that counts
# calls and returns is wrong from then on. Setting the tracer anew in the greenlet that goes on mends it.
source "$(dirname "$0")/lib.sh"
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 12))' || { echo "needs Python 3.12 (set PYTHON)" >&2; exit 2; }
venv greenlet==3.5.6

cat >"$work/program.py" <<'PY'
import sys

import greenlet

told = []

def trace(frame, event, arg):
    if event == "return" and frame.f_code.co_name in ("inner", "outer"):
        told.append(frame.f_code.co_name)
    return trace

def inner(wait):
    if wait:
        main.switch()

def outer():
    inner(True)

main = greenlet.getcurrent()
waiting = greenlet.greenlet(outer)
sys.settrace(trace)
waiting.switch()      # until inner waits
sys.settrace(None)
inner(False)          # is rewritten by this call
sys.settrace(trace)
told.clear()
waiting.switch()      # inner and outer go on and return
sys.settrace(None)
print(f"returns that were told: inner {'yes' if 'inner' in told else 'no'}, outer {'yes' if 'outer' in told else 'no'}")
raise SystemExit("inner" in told)
PY
timeout 60 "$work/venv/bin/python" "$work/program.py"
