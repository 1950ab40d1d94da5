#!/usr/bin/env bash
# uvicorn 0.54.0 with watchfiles 1.3.0 (seen on Python 3.11.7): after two saves of one length within a second, --reload runs the older one.
#
# uvicorn notices both, and starts the app twice. But Python keeps compiled code for a source with the same time, in whole seconds, and the
# same size; the second start takes what the first has compiled, and goes on with it until a later save. A formatter that runs after
# a save, or "undo, save", is enough. (A slow machine may need several tries to save twice in a second.)
# greenserve: --reload removes the compiled file of each changed source before the app starts.
source "$(dirname "$0")/lib.sh"
venv uvicorn==0.54.0 watchfiles==1.3.0
command -v curl >/dev/null || { echo "needs curl" >&2; exit 2; }
unset PYTHONDONTWRITEBYTECODE

mkdir "$work/app"
cd "$work/app"
save() {
  cat >web.py <<PYTHON
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"$1"})
PYTHON
}
ask() { curl -s --max-time 5 --unix-socket "$work/socket" http://localhost/ || true; }
answers() { for _ in {1..400}; do [[ $(ask) == "$1" ]] && return; sleep 0.01; done; return 1; }

save one
"$work/venv/bin/python" -m uvicorn --uds "$work/socket" --reload --log-level warning web:app 2>"$work/log" &
trap 'kill $! && wait $! || true; rm -rf "$work"' EXIT
answers one

stale=no
for try in {1..20}; do
  sleep "0.$(printf %09d $((999999999 - 10#$(date +%N))))"
  sleep 0.05
  save two
  second=$(date +%s)
  answers two
  save six
  [[ $(date +%s) == "$second" ]] || { sleep 2; continue; }
  sleep 3
  said=$(ask)
  echo "try $try: the file says $(grep -o 'b"...' web.py | cut -c3-), the server says $said"
  [[ $said == two ]] && { stale=yes; break; }
done
echo "stale: $stale"
[[ $stale == yes ]]
