"""eventlet.debug and eventlet.backdoor."""

from __future__ import annotations

import socket
import sys
import time

import pytest

from greenserve_eventlet import backdoor, debug, hubs
from greenserve_hub import HubError, connect, listen, sleep, spawn


def test_spew_prints_lines_with_values(capsys: pytest.CaptureFixture[str]):
    frame = sys._getframe()
    debug.Spew()(frame, "line", None)
    line, values = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{__name__}:")
    assert "frame=<frame at" in values
    assert "Spew object at" in repr(debug.Spew())
    debug.Spew(trace_names=["other"])(frame, "line", None)
    debug.Spew()(frame, "call", None)
    assert capsys.readouterr().out == ""


def test_spew_is_a_trace_function():
    before = sys.gettrace()
    try:
        debug.spew()
        set_by_spew = sys.gettrace()
        debug.unspew()
        assert isinstance(set_by_spew, debug.Spew)
        assert sys.gettrace() is None
    finally:
        sys.settrace(before)


def test_texts():
    hubs.get_hub().schedule_call_global(5, print)
    assert debug.format_hub_listeners().split() == ["READERS:", "WRITERS:"]
    assert "print" in debug.format_hub_timers()
    assert "MainThread" in debug.format_threads_info()


def test_what_blocks_gets_an_error():
    debug.hub_blocking_detection(True, resolution=0.05)
    try:
        blocking = spawn(time.sleep, 30)
        with pytest.raises(RuntimeError, match="Blocking detector ALARMED at"):
            blocking.wait()
    finally:
        debug.hub_blocking_detection(False)
    spawn(sleep, 0).wait()


def test_errors_are_quiet_on_request(capsys: pytest.CaptureFixture[str]):
    debug.hub_exceptions(False)
    hubs.get_hub().schedule_call_global(0, lambda: 1 / 0)
    sleep(0)
    sleep(0)
    assert capsys.readouterr().err == ""
    debug.hub_exceptions(True)


class TestBackdoor:
    def ask(self, sock: socket.socket) -> str:
        with sock, sock.makefile("rw") as file:
            greeting = [file.readline() for _ in range(3)]
            assert greeting[0].startswith("Python ")
            assert greeting[2] == "(InteractiveConsole)\n"
            assert file.read(4) == ">>> "
            file.write("print(name)\n")
            file.flush()
            answer = file.readline()
            file.write("exit()\n")
            file.flush()
            file.read()
            return answer

    def test_greets_as_pythons_console(self):
        listener = listen(("127.0.0.1", 0))
        serving = spawn(backdoor.backdoor_server, listener, {"name": "me"})
        before = sys.stdout
        assert self.ask(connect(listener.getsockname())) == "me\n"
        serving.kill()
        assert sys.stdout is before

    def test_one_connection_in_a_green_thread_of_its_own(self):
        with listen(("127.0.0.1", 0)) as listener:
            client = connect(listener.getsockname())
            connection, address = listener.accept()
            backdoor.backdoor((connection, address), {"name": "me"})
            connection.close()
            assert self.ask(client) == "me\n"

    def test_not_for_other_machines(self):
        with listen(("0.0.0.0", 0)) as listener, pytest.raises(HubError, match="allow_remote"):
            backdoor.backdoor_server(listener)
