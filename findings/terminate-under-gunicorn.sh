#!/usr/bin/env bash
# gunicorn 27.0.1, workers sync and gthread (seen on Python 3.11.7): multiprocessing's Process.terminate() does not end a process
# that was forked in a request.
#
# The child inherits the worker's handler of SIGTERM, which notes that the worker is to stop, and returns. A Pool ends its
# workers that way, and then waits for them.
# greenserve: in the child of a fork signals are what they were before the server took them.
source "$(dirname "$0")/lib.sh"
venv gunicorn==27.0.1
command -v curl >/dev/null || { echo "needs curl" >&2; exit 2; }

cat >"$work/web.py" <<'PYTHON'
import multiprocessing, time

def app(environ, start_response):
    process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    process.start()
    time.sleep(0.3)
    process.terminate()
    process.join(2)
    alive = process.is_alive()
    process.kill()
    process.join()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"two seconds after terminate() it is alive: {alive}\n".encode()]
PYTHON

cd "$work"
for worker in sync gthread; do
  venv/bin/python -m gunicorn -k "$worker" -b "unix:$work/socket" web:app 2>"$work/log" &
  for _ in {1..50}; do [[ -S $work/socket ]] && break; sleep 0.1; done
  echo "$worker: $(timeout 30 curl -sS --unix-socket "$work/socket" http://localhost/)"
  kill $! && wait $! || true
  rm -f "$work/socket"
done | tee "$work/said"
diff "$work/said" - <<'EXPECTED'
sync: two seconds after terminate() it is alive: True
gthread: two seconds after terminate() it is alive: True
EXPECTED
