#!/usr/bin/env bash
# CPython 3.14.10 and 3.15.2: `python -m pdb -p PID` says nothing while the process is idle in an event loop, however long;
# the prompt comes with the next event:
#
#   after 5 s without an event: no prompt
#   after a connection: a prompt
#
# sys.remote_exec() leaves a note that the main thread reads between two instructions of Python, and nothing wakes a thread
# that waits in the kernel: not select(), not asyncio's epoll. greenserve's hub looks up once a second.
source "$(dirname "$0")/lib.sh"
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 14))' || { echo "needs Python 3.14 (set PYTHON)" >&2; exit 2; }
venv

cat >"$work/program.py" <<'PY'
import asyncio

async def main():
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
PY
python=$work/venv/bin/python
"$python" "$work/program.py" >"$work/port" 2>/dev/null &
target=$!
trap 'kill -9 "$target" 2>/dev/null || true; rm -rf "$work"' EXIT
until [[ -s $work/port ]]; do sleep 0.1; done
printf 'p 6 * 7\nq\n' | timeout 60 "$python" -m pdb -p "$target" >"$work/said" 2>&1 &
debugger=$!
sleep 5
idle=no
grep -q '(Pdb)' "$work/said" && idle=yes
echo "after 5 s without an event: ${idle/#no/no prompt}"
"$python" -c "import socket; socket.create_connection(('127.0.0.1', $(<"$work/port"))).recv(1)"
wait "$debugger" || true
woken=no
grep -q '42' "$work/said" && woken=yes
echo "after a connection: ${woken/#yes/a prompt}"
[[ $idle == no && $woken == yes ]]
