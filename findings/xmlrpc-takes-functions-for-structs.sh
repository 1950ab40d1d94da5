#!/usr/bin/env bash
# xmlrpc.client of CPython 3.11.7, 3.12.1 and 3.13.0: a function in Python is marshalled as a struct of its attributes, mostly an
# empty one, where one in C is a TypeError.
#
# Any object with a __dict__ is a struct to it. A program that passes a callable by mistake sends {}; and it depends on how
# a function of the standard library is written whether that is told. One of CPython's tests of multiprocessing expects
# the error of time.sleep, which in a patched program (greenserve's, gevent's, eventlet's) is a function in Python.
source "$(dirname "$0")/lib.sh"
venv

cat >"$work/marshal.py" <<'PYTHON'
import time, xmlrpc.client

def sleep(seconds):
    time.sleep(seconds)

for function in (time.sleep, sleep):
    try:
        said = xmlrpc.client.loads(xmlrpc.client.dumps((function,)))[0][0]
    except TypeError as error:
        said = error
    print(f"{type(function).__name__}: {said}")
PYTHON

timeout 60 "$work/venv/bin/python" "$work/marshal.py" | tee "$work/said"
diff "$work/said" - <<'EXPECTED'
builtin_function_or_method: cannot marshal <class 'builtin_function_or_method'> objects
function: {}
EXPECTED
