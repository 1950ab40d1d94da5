"""A server in a child process on the server's core, ready when it answers, ended by its pid.

Called by every scenario as a context manager. A server that dies or never answers raises ServerFailed with
the end of what it wrote to stderr, so that a failure in a table can be understood without a second run.
"""

import contextlib
import os
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from dataclasses import dataclass, field

from tests.bench import frames, machine, peers
from tests.support.servers.ports import free_port

START_SECONDS = 20
STOP_SECONDS = 5


class ServerFailed(Exception):
    """The server did not start or died; carries the end of its stderr."""


@dataclass
class RunningServer:
    """port and pid of a live server, and its CPU time and memory (its children's included)."""

    name: str
    port: int
    process: subprocess.Popen
    errors: object = field(repr=False)
    tls: ssl.SSLContext | None = None  # what its clients need
    question: bytes = b"GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"
    answer: bytes = b"HTTP/1.1 200"  # how the answer begins when it is ready

    @property
    def address(self):
        return ("127.0.0.1", self.port)

    @property
    def url(self):
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}/"

    def connect(self):
        """A client's socket, after its handshake where there is one."""
        sock = socket.create_connection(self.address, timeout=5)
        return self.tls.wrap_socket(sock) if self.tls else sock

    def memory_kib(self):
        return machine.memory_kib(self.process.pid)

    def cpu_seconds(self):
        return machine.cpu_seconds(self.process.pid)

    def check(self):
        if self.process.poll() is not None:
            raise ServerFailed(f"{self.name} ended with {self.process.returncode}\n{self.said()}")

    def said(self):
        self.errors.seek(0)
        text = self.errors.read().decode(errors="replace").strip()
        return "\n".join(text.splitlines()[-20:]) or "(it wrote nothing)"

    def wait_ready(self):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            self.check()
            with contextlib.suppress(OSError), self.connect() as probe:
                probe.sendall(self.question)
                if probe.recv(65536).startswith(self.answer):
                    return
            time.sleep(0.05)
        raise ServerFailed(f"{self.name} did not answer within {START_SECONDS} s\n{self.said()}")

    def stop(self):
        """SIGTERM, then SIGKILL to what is left of the session that this process started."""
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(STOP_SECONDS)


def clean_environment():
    """No setting of any server from outside: the flags in peers.py are all there is."""
    prefixes = ("GREENSERVE_", "GRANIAN_", "GUNICORN_", "EVENTLET_", "GEVENT_", "WEB_CONCURRENCY", "PYTHON")
    return {key: value for key, value in os.environ.items() if not key.startswith(prefixes)}


def client_context():
    """A client that believes anybody: this is about time and memory."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@contextlib.contextmanager
def running(peer, needs):
    """Start the peer as the scenario needs it; yields a RunningServer; always ends it."""
    port = free_port()
    command = peer.command(port, needs)
    with tempfile.TemporaryFile() as errors:
        with machine.pinned(machine.SERVER_CORE):
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                env=clean_environment() | peers.environment(needs),
                start_new_session=True,
            )
        server = RunningServer(peer.name, port, process, errors, client_context() if needs.certfile else None)
        if needs.websockets:
            server.question, server.answer = frames.upgrade("/echo"), b"HTTP/1.1 101"
        try:
            server.wait_ready()
            yield server
            server.check()
        finally:
            server.stop()
