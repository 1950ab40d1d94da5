#!/usr/bin/env bash
# ddtrace 4.16.0 with gevent 26.9.0 installed, and not imported by anybody: `import ddtrace.auto` drops modules from
# sys.modules, so that the program has two copies of them from then on, each with threads, locks and a main thread of its own:
#
#   dropped: _thread, concurrent.futures, reprlib, threading, time
#   main threads are the same: False
#
# It does so for gevent, which is to patch the copies that are imported next. What a runtime has patched before that is
# not what the program gets. Without gevent, or with DD_UNLOAD_MODULES_FROM_SITECUSTOMIZE=0, nothing is dropped.
source "$(dirname "$0")/lib.sh"
venv ddtrace==4.16.0 gevent==26.9.0

cat >"$work/program.py" <<'PY'
import os, sys

import _thread, concurrent.futures, reprlib, threading, time

names = ("_thread", "concurrent.futures", "reprlib", "threading", "time")
before = {name: sys.modules[name] for name in names}
import ddtrace.auto

dropped = [name for name in names if sys.modules.get(name) is not before[name]]
import threading

same = threading.main_thread() is before["threading"].main_thread()
print("dropped:", ", ".join(dropped))
print("main threads are the same:", same)
sys.stdout.flush()
os._exit(not (dropped == list(names) and not same and "gevent" not in sys.modules))
PY
export DD_TRACE_ENABLED=false DD_INSTRUMENTATION_TELEMETRY_ENABLED=false DD_REMOTE_CONFIGURATION_ENABLED=false
timeout 60 "$work/venv/bin/python" "$work/program.py"
