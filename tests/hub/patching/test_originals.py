"""original and import_patched: the other world, in one process."""

from __future__ import annotations

import json

import pytest
from tests.support.programs.patched import run

import greenserve


def test_originals_in_a_patched_program():
    said = run(
        """
        import json, socket, ssl, subprocess, threading, time
        from greenserve import GreenSocket, original
        names = "time socket select threading _thread queue os ssl subprocess selectors signal".split()
        modules = {name: original(name) for name in names}
        assert all(original(name) is module for name, module in modules.items())
        import sys
        assert all(sys.modules[name] is not module for name, module in modules.items())
        o = modules
        ran = []
        thread = o["threading"].Thread(target=lambda: ran.append(o["threading"].current_thread().name), name="native")
        thread.start(); thread.join()
        with o["socket"].socket() as plain:
            pass
        print(json.dumps({
            "sleep": type(o["time"].sleep).__name__,
            "lock": type(o["threading"].Lock()).__name__,
            "queue": o["queue"].SimpleQueue.__module__,
            "epoll": o["select"].epoll.__module__,
            "selector": o["selectors"].EpollSelector._selector_cls.__module__,
            "green": isinstance(plain, GreenSocket),
            "patched": [type(threading.Lock()).__name__, socket.socket is GreenSocket],
            "enums": socket.AF_INET is socket.AddressFamily.AF_INET,
            "run": o["subprocess"].run(["echo", "x"], capture_output=True, text=True).stdout,
            "thread": ran,
            "signal": o["signal"].signal.__module__,
        }))
        """
    )
    assert json.loads(said) == {
        "sleep": "builtin_function_or_method",
        "lock": "lock",
        "queue": "_queue",
        "epoll": "select",
        "selector": "select",
        "green": False,
        "patched": ["ThreadLock", True],
        "enums": True,
        "run": "x\n",
        "thread": ["native"],
        "signal": "signal",
    }


def test_a_green_copy_in_a_program_that_is_not_patched():
    said = run(
        """
        import json, os, socket, sys, threading, time
        from greenserve import GreenSocket, import_patched, sleep, spawn
        before = dict(sys.modules)
        assert "http.client" not in before
        import_patched("http.server")
        client = import_patched("http.client")
        futures = import_patched("concurrent.futures.thread", ("queue", import_patched("queue")))
        assert {name: sys.modules.get(name) for name in before} == before
        # What was imported for the copies' sake is theirs: nobody else finds a green email.utils or http.client.
        assert not [name for name, module in sys.modules.items() for native in (os, socket, threading, time)
                    if type(vars(module).get(native.__name__)) is type(sys)
                    and vars(module)[native.__name__] is not native and "greenserve" not in name]
        import http.client
        assert http.client.socket is socket and http.client is not client
        listener = socket.create_server(("127.0.0.1", 0))
        def serve():
            sock = listener.accept()[0]
            sock.recv(1000)
            while len(turns) < 5:  # while the client waits
                time.sleep(0.001)
            sock.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nhi")
            sock.close()
        turns = []
        threading.Thread(target=serve).start()
        ticking = spawn(lambda: [(turns.append(1), sleep(0.01)) for _ in range(5)])
        connection = client.HTTPConnection("127.0.0.1", listener.getsockname()[1])
        connection.request("GET", "/")
        body = connection.getresponse().read().decode()
        print(json.dumps([body, isinstance(connection.sock, GreenSocket), len(turns), client is http.client,
                          socket.socket is GreenSocket]))
        connection.close()
        listener.close()
        """,
        patch=False,
    )
    assert json.loads(said) == ["hi", True, 5, False, False]


def test_an_unknown_module():
    with pytest.raises(ModuleNotFoundError, match="nowhere"):
        greenserve.import_patched("nowhere")


def test_green_copies_of_what_keeps_functions_in_classes():
    said = run(
        """
        import threading, urllib.request
        from greenserve import import_patched, sleep, spawn

        turns = []
        ticking = spawn(lambda: [(turns.append(1), sleep(0.01)) for _ in range(5)])
        print(import_patched("subprocess").run(["sh", "-c", "sleep 0.2; echo x"], capture_output=True, text=True))
        print(len(turns))
        selectors = import_patched("selectors")
        for name in ("SelectSelector", "PollSelector", "EpollSelector", "DefaultSelector"):
            with getattr(selectors, name)() as selector:
                print(name, selector.select(0.001))
        server = import_patched("http.server")
        with server.HTTPServer(("127.0.0.1", 0), server.BaseHTTPRequestHandler) as httpd:
            httpd.RequestHandlerClass.do_GET = lambda self: self.send_response_only(204) or self.end_headers()
            url = f"http://127.0.0.1:{httpd.server_port}/"
            asking = threading.Thread(target=lambda: print(urllib.request.urlopen(url).status))
            asking.start()
            httpd.handle_request()
            asking.join()
        """,
        patch=False,
    )
    assert said.splitlines() == [
        "CompletedProcess(args=['sh', '-c', 'sleep 0.2; echo x'], returncode=0, stdout='x\\n', stderr='')",
        "5",
        *(f"{name} []" for name in ("SelectSelector", "PollSelector", "EpollSelector", "DefaultSelector")),
        "204",
    ]


def test_a_copy_raises_the_modules_own_exceptions():
    said = run(
        """
        import queue, subprocess
        from greenserve import import_patched, original
        from greenserve_hub.patching.originals import green_modules
        green = green_modules()
        assert green["queue"] is green_modules()["queue"] is not queue
        assert green["queue"].Full is queue.Full is original("queue").Full
        try:
            green["queue"].Queue(1).get(timeout=0)
        except queue.Empty:
            print("empty")
        try:
            green["subprocess"].run(["false"], check=True)
        except subprocess.CalledProcessError:
            print("false")
        """,
        patch=False,
    )
    assert said == "empty\nfalse\n"


def test_a_socket_class_of_a_callers_own():
    said = run(
        """
        import socket
        from greenserve import GreenSocket, monkey_patch
        from greenserve_hub.patching.monkey import use_socket_class
        from greenserve_hub.patching.originals import green_modules, import_patched
        class Mine(GreenSocket):
            pass
        use_socket_class(Mine)
        print(green_modules()["socket"].socket.__name__, import_patched("http.client").socket.socket.__name__)
        monkey_patch()
        with socket.create_server(("127.0.0.1", 0)) as server:
            print(type(server).__name__)
        """,
        patch=False,
    )
    assert said == "Mine Mine\nMine\n"


def test_a_copy_keeps_modules_of_packages_that_stay():
    said = run(
        """
        import http, sys
        from greenserve import import_patched
        request = import_patched("urllib.request")
        print(hasattr(http, "client"), "http.client" in sys.modules, request.http.client.HTTPConnection.__name__)
        import http.client
        print(request.http.client is http.client, request.http.client.socket.socket.__name__)
        """,
        patch=False,
    )
    assert said == "False False HTTPConnection\nFalse GreenSocket\n"
