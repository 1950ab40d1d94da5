#!/usr/bin/env bash
# Flask-SocketIO 5.7.0 (python-engineio 4.15.1): which server model it runs on depends on what is installed, and not on what
# runs. With gevent or eventlet in the environment, imported by nobody and patching nothing, the same program changes from
# threads to their event loop:
#
#   nothing else installed: threading
#   gevent installed: gevent
#   eventlet installed: eventlet
#
# On a server with threads, or with green threads of another kind, each request then waits inside a hub that nobody runs.
# `SocketIO(app, async_mode="threading")` says it for good.
source "$(dirname "$0")/lib.sh"
venv flask==3.1.3 flask-socketio==5.7.0 python-engineio==4.15.1

mode() {
  timeout 60 "$work/venv/bin/python" -W ignore -c \
    'import flask, flask_socketio; print(flask_socketio.SocketIO(flask.Flask("a")).async_mode)'
}
install() { "$work/venv/bin/python" -m pip install --disable-pip-version-check -q "$1"; }
alone=$(mode)
echo "nothing else installed: $alone"
install gevent==26.9.0
with_gevent=$(mode)
echo "gevent installed: $with_gevent"
install eventlet==0.41.3
with_eventlet=$(mode)
echo "eventlet installed: $with_eventlet"
[[ "$alone $with_gevent $with_eventlet" == "threading gevent eventlet" ]]
