"""An app behind the command, patched as it patches by default, and clients for it: HTTP's and websocket-client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
import websocket
from tests.support.programs.commands import ROOT, Command, command
from tests.support.servers.certificates import authority_file, client_context, issue
from tests.support.times import PATIENCE


class Site:
    """A running command and how to reach it."""

    def __init__(self, program: Command, port: int, folder: Path, tls: bool) -> None:
        self.program = program
        self.port = port
        self.log = folder / "access.log"
        self.tls = tls
        self.url = f"{'https' if tls else 'http'}://localhost:{port}"
        self.authority = authority_file(folder / "ca.pem")

    def session(self) -> requests.Session:
        """One that trusts it."""
        session = requests.Session()
        session.trust_env = False  # whose REQUESTS_CA_BUNDLE would go before
        session.verify = str(self.authority)
        return session

    def get(self, path: str) -> requests.Response:
        with self.session() as session:
            return session.get(self.url + path, timeout=PATIENCE)

    def post(self, path: str, data: str) -> requests.Response:
        with self.session() as session:
            return session.post(self.url + path, data=data, timeout=PATIENCE)

    @contextmanager
    def connect(self, path: str, **options: Any) -> Iterator[websocket.WebSocket]:
        ws = websocket.create_connection(
            self.url.replace("http", "ws", 1) + path,
            timeout=PATIENCE,
            sslopt={"context": client_context()} if self.tls else None,
            **options,
        )
        try:
            yield ws
        finally:
            ws.shutdown()

    def left(self) -> Any:
        """See Leftovers."""
        return self.get("/left").json()


@contextmanager
def serving_app(name: str, folder: Path, *arguments: str, tls: bool = False) -> Iterator[Site]:
    """`name` as the command takes it; its log is in `folder`."""
    arguments = ("--bind", "localhost:0", "--access-logfile", str(folder / "access.log"), *arguments)
    if tls:
        # A hundred clients in one process take their time for it.
        arguments = (*arguments, "--tls-handshake-timeout", f"{PATIENCE}")
        arguments = (*arguments, "--certfile", str(issue(folder / "server.pem", "localhost")))
    with command("-m", "greenserve", name, *arguments, folder=ROOT) as program:
        yield Site(program, int(program.until(r"https?://[^:]+:(\d+)")[1]), folder, tls)
