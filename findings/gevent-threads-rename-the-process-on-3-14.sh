#!/usr/bin/env bash
# On CPython 3.14 a thread of a program that gevent has patched gives its name to the whole process.
#
# Seen with gevent 26.9.0 on CPython 3.14.10 (Debian sid): from 3.14 on threading.Thread names the OS thread that it runs in, and patched threads run
# in the main one. Its name is the process's, as ps, top, pkill and /proc/PID/comm show it. On 3.13 the name stays.
# Users of greenserve: greenserve leaves the name of the process alone.
PYTHON=${PYTHON:-python3.14}
. "$(dirname "$0")/lib.sh"
venv gevent==26.9.0

cat >"$work/names.py" <<'PY'
from gevent import monkey

monkey.patch_all()
import threading

thread = threading.Thread(target=print, args=("ran",), name="nightly-report")
thread.start()
thread.join()
with open("/proc/self/comm") as file:
    print(file.read().strip())
PY
said=$(timeout 20 "$work/venv/bin/python" "$work/names.py" | tail -1)
echo "$("$work/venv/bin/python" -V): the process is called $said"
[[ $said == nightly-report ]]
