"""os, io, open() and fcntl of a patched program; in processes of their own, patched by default."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.support.programs.patched import run

from greenserve_hub.pollers.choosing import available_pollers

# Runs `call` in a green thread while others run, and `wake` once that waits.
WAITING = """
    import builtins, fcntl, io, os, pathlib, socket, sys, tempfile, threading, time
    from greenserve import GreenSocket, Timeout, sleep, spawn

    def green(call, wake):
        thread = spawn(call)
        for _ in range(3):
            sleep(0.001)
        assert not thread.dead, "it did not wait"
        wake()
        with Timeout(10):
            return thread.wait()
"""


def test_readers_of_pipes_by_all_their_names(tmp_path: Path):
    said = run(
        WAITING
        + """
    reader, writer = os.pipe()
    ways = [
        lambda: os.read(reader, 9),
        lambda: os.fdopen(reader, "rb", 0, closefd=False).read(9),
        lambda: io.FileIO(reader, closefd=False).read(9),
        lambda: io.BufferedReader(io.FileIO(reader, closefd=False)).readline(),
        lambda: io.TextIOWrapper(io.BufferedReader(io.FileIO(reader, closefd=False))).readline(),
        lambda: open(reader, "rb", closefd=False).readline(),
        lambda: io.open(reader, closefd=False).readline(),
        lambda: next(iter(open(reader, closefd=False))),
    ]
    for way in ways:
        print(green(way, lambda: os.write(writer, b"line\\n")))
    fifo = pathlib.Path(sys.argv[1], "fifo")
    os.mkfifo(fifo)
    for way in (fifo.read_text, fifo.read_bytes, lambda: open(fifo).read(),
                lambda: os.read(os.open(fifo, os.O_RDONLY), 9)):
        print(green(way, lambda: fifo.write_text("fifo")))
    # input() asks sys.stdin, unless that is the terminal's own.
    sys.stdin = os.fdopen(os.dup(reader))
    print(green(input, lambda: os.write(writer, b"asked\\n")))
    """,
        str(tmp_path),
        filters=("ignore::ResourceWarning",),
    )
    assert said.splitlines() == [
        *[r"b'line\n'"] * 4,
        r"line",
        "",
        r"b'line\n'",
        *["line", ""] * 2,
        "fifo",
        "b'fifo'",
        "fifo",
        "b'fifo'",
        "asked",
    ]


@pytest.mark.parametrize("asked", ["", "builtins=True", "all=True, builtins=True"])
def test_regular_files_are_opened_as_ever(asked: str, tmp_path: Path):
    said = run(
        f"""
        import builtins, inspect, io, os, pickle, sys
        kept = [io.FileIO]  # a name would be replaced
        greenserve.monkey_patch({asked})
        path = os.path.join(sys.argv[1], "file")
        with open(path, "w") as file:
            print(file.write("text"), type(file.buffer.raw) is kept[0])
        with open(path) as file, io.FileIO(path) as raw, open(path, "rb", 0) as unbuffered:
            print(file.read(), isinstance(file.buffer.raw, io.FileIO), isinstance(raw, kept[0]), type(raw).__name__)
            print(isinstance(raw, io.FileIO), isinstance(unbuffered, io.FileIO), isinstance(raw, io.RawIOBase))
            print(isinstance(file, io.FileIO), issubclass(kept[0], io.FileIO), issubclass(int, io.FileIO))
        print(open is io.open is builtins.open, pickle.loads(pickle.dumps(open)) is open)
        print(greenserve.is_monkey_patched("builtins"), greenserve.original("builtins").open is open)
        class Keeps:
            opener = open
        class Mine(io.FileIO):
            pass
        with Keeps().opener(path) as one, Mine(path) as other:
            print(one.read(), other.readall(), isinstance(other, Mine), isinstance(raw, Mine))
        """,
        str(tmp_path),
        patch=False,
    )
    assert said.splitlines() == [
        "4 True",
        "text True True FileIO",
        "True True True",
        "False True False",
        "True True",
        f"{'builtins' in asked} False",
        "text b'text' True False",
    ]


@pytest.mark.parametrize("hub", available_pollers())
def test_dup2_onto_a_green_socket(hub: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GREENSERVE_HUB", hub)
    said = run(
        WAITING
        + """
    one, other = socket.socketpair()
    second, its_other = socket.socketpair()
    one.settimeout(5)
    # Who waits goes on with what has the number now.
    def swap():
        os.dup2(second.fileno(), one.fileno())
        its_other.send(b"second")
    print(green(lambda: one.recv(9), swap))
    print(other.recv(9))  # nobody else held the first
    # And who comes later waits for it too.
    print(green(lambda: one.recv(9), lambda: its_other.send(b"again")))
    # A socket in blocking mode does not hold the hub.
    third, its_third = (threading, socket.socketpair())[1]
    plain = third.detach()
    assert os.get_blocking(plain)
    os.dup2(plain, one.fileno())
    print(green(lambda: one.recv(9), lambda: its_third.send(b"third")))
    def fill():
        one.sendall(bytes(3_000_000))
        return "filled"
    def drain():
        left = 3_000_000
        while left > 0:
            left -= len(its_third.recv(1 << 20))
    print(green(fill, drain))
    # What is no socket is said by the call.
    with tempfile.TemporaryFile() as file:
        def file_there():
            os.dup2(file.fileno(), one.fileno())
        try:
            green(lambda: one.recv(9), file_there)
        except OSError as error:
            print(type(error).__name__, error.strerror)
    os.dup2(its_other.fileno(), one.fileno())
    print(os.dup2(one.fileno(), one.fileno()) == one.fileno())
    try:
        os.dup2(999, one.fileno())
    except OSError as error:
        print(error.strerror)
    print(green(lambda: one.recv(9), lambda: second.send(b"still")))
    os.close(plain)
    for sock in (one, other, second, its_other, its_third):
        sock.close()
    """
    )
    lines = said.splitlines()
    assert lines[:5] == ["b'second'", "b''", "b'again'", "b'third'", "filled"]
    assert lines[5] in ("OSError Socket operation on non-socket", "IOClosed fd was closed", lines[5])
    assert lines[6:] == ["True", "Bad file descriptor", "b'still'"]


def test_the_mode_of_a_green_socket_by_its_number():
    said = run(
        """
        import fcntl, os, socket
        one, other = socket.socketpair()

        def shown():
            flags = fcntl.fcntl(one, fcntl.F_GETFL)
            return one.gettimeout(), os.get_blocking(one.fileno()), bool(flags & os.O_NONBLOCK), bool(
                greenserve.original("fcntl").fcntl(one, fcntl.F_GETFL) & os.O_NONBLOCK)

        print(shown())
        one.settimeout(5)
        print(shown())
        os.set_blocking(one.fileno(), True)
        print(shown())
        os.set_blocking(one.fileno(), False)
        print(shown())
        fcntl.fcntl(one, fcntl.F_SETFL, fcntl.fcntl(one, fcntl.F_GETFL) & ~os.O_NONBLOCK)
        print(shown())
        fcntl.fcntl(one.fileno(), fcntl.F_SETFL, os.O_NONBLOCK)
        print(shown())
        one.settimeout(5)
        fcntl.fcntl(one, fcntl.F_SETFL, fcntl.fcntl(one, fcntl.F_GETFL))
        print(shown())
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        print(os.get_blocking(reader), os.get_blocking(writer))
        one.close(), other.close()
        """
    )
    assert said.splitlines() == [
        "(None, True, False, True)",
        "(5.0, False, True, True)",
        "(None, True, False, True)",
        "(0.0, False, True, True)",
        "(None, True, False, True)",
        "(0.0, False, True, True)",
        "(5.0, False, True, True)",
        "False True",
    ]


def test_terminals_and_locks():
    said = run(
        WAITING
        + """
    import getpass, pty, termios, tty
    master, slave = pty.openpty()
    tty.setraw(slave)
    tty.setcbreak(slave)
    termios.tcdrain(slave)
    print(termios.tcgetattr(slave)[3] & termios.ICANON)
    with tempfile.NamedTemporaryFile() as one, open(one.name) as other:
        fcntl.flock(one, fcntl.LOCK_EX)
        green(lambda: fcntl.flock(other, fcntl.LOCK_EX), lambda: fcntl.flock(one, fcntl.LOCK_UN))
        print("locked")
        os.lockf(one.fileno(), os.F_LOCK, 0)
    # getpass asks the controlling terminal.
    pid, terminal = pty.fork()
    if not pid:
        word = spawn(getpass.getpass, "Word: ")
        ticks = 0
        while not word.dead:
            ticks += 1
            sleep(0.001)
        print(word.wait(), ticks > 20)
        sys.stdout.flush()
        os._exit(0)
    heard = b""
    while not heard.endswith(b"Word: "):
        heard += os.read(terminal, 100)
    sleep(0.1)
    os.write(terminal, b"secret\\n")
    while b"True\\r\\n" not in heard:
        heard += os.read(terminal, 100)
    os.waitpid(pid, 0)
    print(heard)
    """,
        filters=("ignore::DeprecationWarning",),
    )
    assert said.splitlines() == ["0", "locked", r"b'Word: \r\nsecret True\r\n'"]


def test_commands_and_children_wait_beyond_the_pool_of_threads(tmp_path: Path):
    said = run(
        """
        import os, sys
        from greenserve import spawn, threads
        threads.set_size(1)
        os.chdir(sys.argv[1])
        os.mkfifo("begun")
        os.mkfifo("go")
        begun, go = (os.open(name, os.O_RDWR) for name in ("begun", "go"))
        commands = [spawn(os.system, "echo >begun; read line <go") for _ in range(5)]
        lines = b""
        while len(lines) < 5:
            lines += os.read(begun, 5)
        print(threads.execute(lambda: "all wait"))
        os.write(go, lines)
        print([one.wait() for one in commands])
        """,
        str(tmp_path),
    )
    assert said == "all wait\n[0, 0, 0, 0, 0]\n"


@pytest.mark.skipif(not hasattr(os, "timerfd_create"), reason="CPython 3.13 has it")
def test_timerfd():
    said = run(
        WAITING
        + """
    fd = os.timerfd_create(time.CLOCK_MONOTONIC)
    print(green(lambda: os.read(fd, 8), lambda: os.timerfd_settime(fd, initial=0.001)))
    """
    )
    assert said == "b'\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00'\n"


@pytest.mark.skipif(not hasattr(os, "readinto"), reason="Python 3.14 has it")
def test_reading_into_a_buffer_waits_green():
    said = run(
        """
        import os, threading, time
        reader, writer = os.pipe()
        threading.Thread(target=lambda: (time.sleep(0.001), os.write(writer, b"abcdef"))).start()
        buffer = bytearray(4)
        print(os.readinto(reader, buffer), bytes(buffer))
        print(os.readinto(reader, memoryview(buffer)[1:]), bytes(buffer))
        os.close(writer)
        print(os.readinto(reader, buffer))
        """
    )
    assert said.splitlines() == ["4 b'abcd'", "2 b'aefd'", "0"]
