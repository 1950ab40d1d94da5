#!/usr/bin/env bash
# nginx 1.22.1: a request that meets the closing of an upstream connection which nginx has kept (`keepalive`) is sent again on a new
# connection if it is a GET, and answered 502 if it is a POST, though the upstream has seen nothing of it that it would have run.
#
# nginx may not repeat what is not idempotent (RFC 9110 §9.2.2), unless `proxy_next_upstream non_idempotent` says that it may.
# greenserve: when it stops, kept connections are answered once more, with `Connection: close`, before they are closed (--drain-delay).
source "$(dirname "$0")/lib.sh"
PATH=$PATH:/usr/sbin
for tool in nginx curl; do command -v "$tool" >/dev/null || { echo "needs $tool" >&2; exit 2; }; done

cat >"$work/upstream.py" <<'PYTHON'
# Answers the first request of each connection, keeps it, and closes it when the second comes.
import os, socket, threading

def serve(client):
    with client:
        client.recv(65536)
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        client.recv(65536)

with socket.create_server(("127.0.0.1", 0)) as listener:
    with open("port.new", "w") as file:
        file.write(str(listener.getsockname()[1]))
    os.rename("port.new", "port")
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
PYTHON
cd "$work"
"$PYTHON" upstream.py & upstream=$!
for _ in {1..50}; do [[ -e port ]] && break; sleep 0.1; done
cat >nginx.conf <<NGINX
daemon off;
pid nginx.pid;
error_log log;
events {}
http {
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
    upstream app { server 127.0.0.1:$(cat port); keepalive 4; }
    server {
        listen unix:$work/front;
        location / { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; }
    }
}
NGINX

nginx -p "$work" -c nginx.conf 2>/dev/null & proxy=$!
trap 'kill $upstream $proxy 2>/dev/null; wait 2>/dev/null; rm -rf "$work"' EXIT
for _ in {1..50}; do [[ -S front ]] && break; sleep 0.1; done
ask() { timeout 30 curl -sS -o /dev/null -w '%{http_code}' --unix-socket front "$@" http://localhost/; }
for method in GET POST; do
  arguments=(-X "$method")
  [[ $method == GET ]] || arguments+=(-d "a body")
  first=$(ask)
  echo "$method on a kept connection that is closed: $(ask "${arguments[@]}") (the request before it: $first)"
done | tee said
diff said - <<'EXPECTED'
GET on a kept connection that is closed: 200 (the request before it: 200)
POST on a kept connection that is closed: 502 (the request before it: 200)
EXPECTED
