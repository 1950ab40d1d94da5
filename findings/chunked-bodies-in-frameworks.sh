#!/usr/bin/env bash
# A body in chunks (Transfer-Encoding: chunked) reaches a WSGI framework or not, by what the server leaves in environ.
#
# Seen with gunicorn 27.0.1, waitress 3.0.2, Bottle 0.13.4, Django 5.2, CherryPy 18.10.0 and Flask 3.1 on
# CPython 3.11:
#
#   server     environ                                        Bottle  Django  CherryPy  Flask
#   gunicorn   HTTP_TRANSFER_ENCODING, no CONTENT_LENGTH       400     empty   whole     whole
#   waitress   CONTENT_LENGTH, no HTTP_TRANSFER_ENCODING       whole   whole   whole     whole
#   (neither of the two, made by a middleware)                 empty   empty   411       whole
#
# gunicorn has decoded the chunks, so Bottle decodes them a second time and refuses what it finds; Django reads no byte
# without CONTENT_LENGTH and answers 200. Taking the field away is what RFC 9112 §7.1.3 asks for, and not enough: Bottle then reads
# nothing either, and CherryPy wants one of the two fields. Only a length suits all of them, for which the server has to
# read the body first. greenserve does so where the app is one of these (--chunked-bodies auto).
. "$(dirname "$0")/lib.sh"
venv gunicorn==27.0.1 waitress==3.0.2 bottle==0.13.4 'django==5.2.*' cherrypy==18.10.0 'flask==3.1.*'

cat >"$work/apps.py" <<'PY'
import bottle
import cherrypy
import django
import flask
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpResponse
from django.urls import path

bottle_app = bottle.Bottle()


@bottle_app.post("/")
def index():
    return str(len(bottle.request.body.read()))


settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="x")
urlpatterns = [path("", lambda request: HttpResponse(str(len(request.read()))))]
django.setup()
django_app = WSGIHandler()


class Root:
    @cherrypy.expose
    def index(self):
        return str(len(cherrypy.request.body.read()))


cherrypy.config.update({"environment": "embedded", "log.screen": False})
cherry_app = cherrypy.Application(Root(), "", {"/": {"request.body.processors": {}}})
flask_app = flask.Flask(__name__)


@flask_app.post("/")
def flask_index():
    return str(len(flask.request.get_data()))


APPS = {"/bottle": bottle_app, "/django": django_app, "/cherrypy": cherry_app, "/flask": flask_app}


def app(environ, start_response):
    """/without/NAME takes the one field away, as RFC 9112 §7.1.3 has it."""
    where = environ["PATH_INFO"]
    if where.startswith("/without"):
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        where = where[len("/without") :]
    environ["PATH_INFO"], environ["SCRIPT_NAME"] = "/", ""
    return APPS[where](environ, start_response)
PY

cat >"$work/ask.py" <<'PY'
import http.client
import socket
import subprocess
import sys
import time

SIZE = 5000
wanted = {
    "gunicorn": {"bottle": "400", "django": "empty", "cherrypy": "whole", "flask": "whole"},
    "gunicorn/without": {"bottle": "empty", "django": "empty", "cherrypy": "411", "flask": "whole"},
    "waitress": {"bottle": "whole", "django": "whole", "cherrypy": "whole", "flask": "whole"},
}
seen = {}
for name in ("gunicorn", "waitress"):
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    module, arguments = {
        "gunicorn": ("gunicorn", ["-b", f"127.0.0.1:{port}", "apps:app", "--no-control-socket"]),
        "waitress": ("waitress", ["--listen", f"127.0.0.1:{port}", "apps:app"]),
    }[name]
    server = subprocess.Popen([sys.executable, "-m", module, *arguments], stderr=subprocess.DEVNULL)
    try:
        for attempt in range(200):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.1)
        for prefix in ("", "/without") if name == "gunicorn" else ("",):
            for framework in ("bottle", "django", "cherrypy", "flask"):
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
                connection.request(
                    "POST", f"{prefix}/{framework}", iter([b"x" * 1000] * 5), {"Content-Type": "text/plain"}, encode_chunked=True
                )
                answer = connection.getresponse()
                body = answer.read()
                found = str(answer.status)
                if answer.status == 200:
                    found = {str(SIZE).encode(): "whole", b"0": "empty"}.get(body, repr(body))
                seen.setdefault(name + prefix, {})[framework] = found
                connection.close()
    finally:
        server.terminate()
        server.wait(20)
for name, found in seen.items():
    print(f"{name:18}", found)
sys.exit(seen != wanted)
PY
cd "$work"
timeout 120 "$work/venv/bin/python" ask.py
