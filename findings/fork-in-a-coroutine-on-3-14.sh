#!/usr/bin/env bash
# A coroutine that forks goes on in the child up to its next await, and since CPython 3.14 that ends with a RuntimeError.
#
# Seen with CPython 3.14.10 and 3.15.2 (Debian sid): asyncio lets go of the running loop in the child of a fork. Since 3.14 the end of the
# task's step checks that the loop still runs, so the loop in the child reports "RuntimeError: loop ... is not the running loop". Up to 3.13
# the child went on with the copied loop. os.fork() itself warns of nothing here: there is one OS thread.
# Users of greenserve: the child of a coroutine that forked ends where it waits, without a word.
PYTHON=${PYTHON:-python3.14}
. "$(dirname "$0")/lib.sh"
venv

cat >"$work/forks.py" <<'PY'
import asyncio
import os


async def forks():
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
    else:
        loop.set_exception_handler(told)
    await asyncio.sleep(0)


def told(loop, context):
    print(str(context["exception"]).rpartition(">")[2].strip(), flush=True)
    os._exit(0)


loop = asyncio.new_event_loop()
try:
    loop.run_until_complete(asyncio.wait_for(forks(), 5))
finally:
    loop.close()
PY
said=$(timeout 20 "$work/venv/bin/python" "$work/forks.py" 2>/dev/null | head -1)
echo "$("$work/venv/bin/python" -V): the child's loop told ${said:-nothing}"
[[ $said == "is not the running loop" ]]
