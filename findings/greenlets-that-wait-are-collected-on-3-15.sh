#!/usr/bin/env bash
# On CPython 3.15 the garbage collector ends greenlets that wait, when their objects have been emptied already.
#
# Seen with greenlet 3.5.6: up to CPython 3.14 a greenlet that is suspended keeps what its frames hold, for ever if nobody refers to it. On 3.15
# it is traversed as any other object. When it is garbage, together with what it uses, GreenletExit is raised in it after the collector has
# cleared these objects: its finally clause finds an instance without attributes, and an AttributeError goes to sys.unraisablehook.
# Users of greenserve: a hub that was replaced and never closed would do so; greenserve keeps it until its OS thread ends.
PYTHON=${PYTHON:-python3.15}
. "$(dirname "$0")/lib.sh"
venv greenlet==3.5.6

cat >"$work/waits.py" <<'PY'
import gc
import sys

import greenlet


class Loop:
    def __init__(self):
        self.name = "a loop"
        self.greenlet = greenlet.greenlet(self.run)
        self.greenlet.switch()

    def run(self):
        try:
            greenlet.getcurrent().parent.switch()
        finally:
            ended.append(getattr(self, "name", "without its attributes"))


ended = []
Loop()
gc.collect()
print(f"{ended or 'kept'}")
PY
said=$(timeout 20 "$work/venv/bin/python" "$work/waits.py")
echo "$("$work/venv/bin/python" -V): $said"
[[ $said == "['without its attributes']" ]]
