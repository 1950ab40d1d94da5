#!/usr/bin/env bash
# CPython 3.13.0 (and 3.12): cProfile, which profiled the thread that enabled it up to 3.11, profiles all threads of the
# process, and a second thread that enables one of its own meanwhile is refused:
#
#   in the profile of the other thread: True
#   a second profile: Another profiling tool is already active
#
# It uses sys.monitoring, whose tools are the process's. So a middleware that profiles each request fails, or mixes
# requests up, on any server with threads or green threads; greenserve cannot change that.
source "$(dirname "$0")/lib.sh"
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 12))' || { echo "needs Python 3.12 (set PYTHON)" >&2; exit 2; }
venv

cat >"$work/program.py" <<'PY'
import cProfile, threading

begin, end = threading.Barrier(2), threading.Barrier(2)
told = []

def of_the_other():
    pass

def other():
    begin.wait(10)
    of_the_other()
    try:
        cProfile.Profile().enable()
    except ValueError as error:
        told.append(str(error))
    end.wait(10)

thread = threading.Thread(target=other)
thread.start()
profile = cProfile.Profile()
profile.enable()
begin.wait(10)
end.wait(10)
profile.disable()
thread.join()
profile.create_stats()
found = any(name == "of_the_other" for _, _, name in profile.stats)
print("in the profile of the other thread:", found)
print("a second profile:", *told)
raise SystemExit(not (found and told == ["Another profiling tool is already active"]))
PY
timeout 60 "$work/venv/bin/python" "$work/program.py"
