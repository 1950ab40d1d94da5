"""A client of the Debug Adapter Protocol: JSON behind a Content-Length, over a socket."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from typing import Any

from tests.support.times import PATIENCE

Message = dict[str, Any]


class DapClient:
    """Asks, and reads answers and events in the order in which they are wanted."""

    def __init__(self, port: int) -> None:
        self._sock = _connect(port)
        self._file = self._sock.makefile("rb")
        self._unread: list[Message] = []
        self._asked = 0

    def send(self, command: str, **arguments: Any) -> int:
        self._asked += 1
        request = {"seq": self._asked, "type": "request", "command": command, "arguments": arguments}
        text = json.dumps(request).encode()
        self._sock.sendall(b"Content-Length: %d\r\n\r\n%b" % (len(text), text))
        return self._asked

    def answer_to(self, asked: int) -> Message:
        answer = self._until(lambda one: one["type"] == "response" and one["request_seq"] == asked)
        assert answer["success"], answer
        body: Message = answer.get("body", {})
        return body

    def ask(self, command: str, **arguments: Any) -> Message:
        return self.answer_to(self.send(command, **arguments))

    def event(self, name: str) -> Message:
        body: Message = self._until(lambda one: one["type"] == "event" and one["event"] == name).get(
            "body", {}
        )
        return body

    def attach(self, path: str, line: int) -> None:
        """Until the program goes on, with one breakpoint."""
        self.ask(
            "initialize", adapterID="debugpy", linesStartAt1=True, columnsStartAt1=True, pathFormat="path"
        )
        attached = self.send("attach", justMyCode=False)
        self.event("initialized")
        self.ask("setBreakpoints", source={"path": path}, breakpoints=[{"line": line}])
        self.ask("configurationDone")
        self.answer_to(attached)

    def evaluate_at_stop(self, expression: str) -> str:
        """What it is where the program has stopped next; that goes on then."""
        thread = self.event("stopped")["threadId"]
        frame = self.ask("stackTrace", threadId=thread)["stackFrames"][0]["id"]
        value: str = self.ask("evaluate", expression=expression, frameId=frame, context="repl")["result"]
        self.ask("continue", threadId=thread)
        return value

    def close(self) -> None:
        """Let the program go on, and the adapter end, which has the program's stdout and stderr too."""
        self.send("disconnect", terminateDebuggee=False)
        self._file.close()
        self._sock.close()

    def _until(self, wanted: Callable[[Message], bool]) -> Message:
        for one in self._unread:
            if wanted(one):
                self._unread.remove(one)
                return one
        while not wanted(one := self._read()):
            self._unread.append(one)
        return one

    def _read(self) -> Message:
        length = 0
        while line := self._file.readline().strip():
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        assert length, "the adapter has closed the connection"
        message: Message = json.loads(self._file.read(length))
        return message


def _connect(port: int) -> socket.socket:
    limit = time.monotonic() + PATIENCE
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        except ConnectionRefusedError:
            assert time.monotonic() < limit, "no adapter ever listened"
            time.sleep(0.02)
