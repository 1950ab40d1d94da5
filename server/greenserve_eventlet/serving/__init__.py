"""Servers and the sockets that they listen on: eventlet's convenience, wsgi and websocket."""
