"""Signals of a patched program: their handlers belong to the main green thread."""

from __future__ import annotations

import pytest
from tests.support.programs.patched import run


def test_a_handler_runs_at_once_whoever_is_interrupted():
    said = run(
        """
        import os, signal, threading
        seen = []
        def handler(number, frame):
            seen.append((signal.Signals(number).name, threading.current_thread() is threading.main_thread()))
        print(signal.signal(signal.SIGUSR1, handler), signal.getsignal(signal.SIGUSR1) is handler)
        os.kill(os.getpid(), signal.SIGUSR1)
        print(seen.pop())
        thread = threading.Thread(target=lambda: (os.kill(os.getpid(), signal.SIGUSR1), print(seen.pop())))
        thread.start(); thread.join()
        done = threading.Event()
        print(signal.signal(signal.SIGALRM, lambda *_: done.set()))
        signal.setitimer(signal.ITIMER_REAL, 0.01)  # while the hub waits
        print(done.wait(10), signal.signal(signal.SIGUSR1, signal.SIG_DFL) is handler)
        """
    )
    assert said.splitlines() == [
        "0 True",
        "('SIGUSR1', True)",
        "('SIGUSR1', True)",
        "0",
        "True True",
    ]


def test_what_a_handler_raises_is_raised_in_the_main_thread():
    said = run(
        """
        import os, signal, threading, time
        class Stop(Exception):
            pass
        def handler(number, frame):
            raise Stop
        signal.signal(signal.SIGTERM, handler)
        for interrupted in ("hub", "other", "main"):
            try:
                if interrupted == "hub":
                    signal.signal(signal.SIGALRM, handler)
                    signal.setitimer(signal.ITIMER_REAL, 0.01)
                elif interrupted == "other":
                    threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGTERM)).start()
                else:
                    os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(10)
            except Stop:
                print(interrupted)
        """
    )
    assert said.splitlines() == ["hub", "other", "main"]


def test_a_handler_may_wait():
    said = run(
        """
        import os, signal, threading, time
        done, steps = threading.Event(), []
        def handler(number, frame):
            steps.append("begins")
            time.sleep(0.02)
            steps.append("ends")
            done.set()
        signal.signal(signal.SIGUSR1, handler)
        def other():
            os.kill(os.getpid(), signal.SIGUSR1)
            steps.append("interrupted goes on")
        threading.Thread(target=other).start()
        done.wait(10)
        signal.signal(signal.SIGALRM, lambda *_: (time.sleep(0.01), again.set()))
        again = threading.Event()
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        print(steps, again.wait(10))
        """
    )
    assert said == "['begins', 'interrupted goes on', 'ends'] True\n"


def test_ctrl_c_reaches_the_main_thread_and_at_last_whoever_spins():
    said = run(
        """
        import os, signal, threading, time
        def interrupt():
            time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
        killed = threading.Thread(target=interrupt)
        killed.start()
        try:
            time.sleep(10)
        except KeyboardInterrupt:
            print("main")
        killed.join()
        def spin():
            try:
                for _ in range(2):
                    os.kill(os.getpid(), signal.SIGINT)
                while True:
                    pass
            except KeyboardInterrupt:
                print("spinning")
        try:
            threading.Thread(target=spin).start()
            time.sleep(10)
        except KeyboardInterrupt:
            print("main")
        """
    )
    assert said.splitlines() == ["main", "spinning", "main"]


def test_pause_wakeup_fd_and_pthread_kill():
    said = run(
        """
        import signal, socket, threading
        seen = []
        signal.signal(signal.SIGALRM, lambda *_: seen.append(1))
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)  # again, if it came before the pause
        turns = greenserve.spawn(lambda: [greenserve.sleep(0.001) for _ in range(5)])
        signal.pause()
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(bool(seen), len(turns.wait()))
        seen.clear()
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        print(signal.set_wakeup_fd(theirs.fileno()))
        thread = threading.Thread(target=lambda: signal.pthread_kill(threading.get_ident(), signal.SIGALRM))
        thread.start(); thread.join()
        print(ours.recv(10) == bytes([signal.SIGALRM]), signal.set_wakeup_fd(-1) == theirs.fileno())
        print(signal.set_wakeup_fd(-1), len(seen))
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
        signal.pause()
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(len(seen) > 1)
        ours.close(); theirs.close()
        """
    )
    assert said.splitlines() == ["True 5", "-1", "True True", "-1 1", "True"]


def test_in_a_child_the_wakeup_fd_is_the_programs_still_and_the_hubs_when_that_is_given_back():
    """As multiprocessing's fork server does it, which is patched with the program on Python 3.15."""
    said = run(
        """
        import signal, socket
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        seen = []
        signal.signal(signal.SIGALRM, lambda *_: seen.append(1))
        signal.set_wakeup_fd(theirs.fileno())
        for file in lower:
            file.close()

        def in_child(function):
            child = os.fork()
            if not child:
                function()
                sys.stdout.flush()
                os._exit(0)
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)

        @in_child
        def _():
            signal.raise_signal(signal.SIGALRM)
            print(ours.recv(10) == bytes([signal.SIGALRM]), signal.set_wakeup_fd(-1) == theirs.fileno())
            signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)  # again, if it came before the pause
            signal.pause()
            print(len(seen) > 1)

        number = theirs.fileno()
        theirs.close()  # which CPython does not mind
        in_child(lambda: print(signal.set_wakeup_fd(-1) in (-1, number)))
        ours.close()
        """,
        # The child's descriptors are not by chance those of its parent.
        before="import os, sys\nlower = [open(os.devnull) for _ in range(2)]",
        filters=("ignore:This process:DeprecationWarning",),
    )
    assert said.splitlines() == ["True True", "True", "0", "True", "0"]


def test_a_thread_blocks_signals_for_itself_and_what_it_starts():
    said = run(
        """
        import os, signal, subprocess, sys, threading, time
        from signal import SIG_BLOCK, SIG_SETMASK, SIG_UNBLOCK, SIGUSR1, SIGUSR2, pthread_sigmask
        names = lambda mask: sorted(signal.Signals(one).name for one in mask)
        asks = "import signal; print(*sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())))"
        def blocks():
            print("was", names(pthread_sigmask(SIG_BLOCK, [SIGUSR1])))
            print("was", names(pthread_sigmask(SIG_BLOCK, iter([SIGUSR2]))))
            started = subprocess.Popen([sys.executable, "-c", asks], stdout=subprocess.PIPE, text=True)
            print("started with", names(map(int, started.communicate()[0].split())))
            print("was", names(pthread_sigmask(SIG_UNBLOCK, [SIGUSR1])))
            print("was", names(pthread_sigmask(SIG_SETMASK, ())))
            print("is", names(pthread_sigmask(SIG_BLOCK, ())))
        thread = threading.Thread(target=blocks)
        thread.start(); thread.join()
        print("main is", names(pthread_sigmask(SIG_BLOCK, ())))
        def sleeps():
            pthread_sigmask(SIG_BLOCK, signal.valid_signals())
            time.sleep(100)
        threading.Thread(target=sleeps, daemon=True).start()
        time.sleep(0.001)
        signal.signal(SIGUSR1, lambda *_: print("came through"))
        signal.raise_signal(SIGUSR1)
        pthread_sigmask(SIG_BLOCK, [SIGUSR1])
        time.sleep(0.001)
        print("main is", names(pthread_sigmask(SIG_BLOCK, ())))
        def forks():
            pid = os.fork()
            if not pid:
                pthread_sigmask(SIG_BLOCK, [SIGUSR2])
                time.sleep(0.001)
                print("child is", names(pthread_sigmask(SIG_BLOCK, ())), flush=True)
                os._exit(0)
            os.waitpid(pid, 0)
        sys.stdout.flush()
        thread = threading.Thread(target=forks)
        thread.start(); thread.join()
        try:
            pthread_sigmask(99, ())
        except OSError as error:
            print(error.strerror)
        """,
        filters=("ignore:This process:DeprecationWarning",),
    )
    assert said.splitlines() == [
        "was []",
        "was ['SIGUSR1']",
        "started with ['SIGUSR1', 'SIGUSR2']",
        "was ['SIGUSR1', 'SIGUSR2']",
        "was ['SIGUSR2']",
        "is []",
        "main is []",
        "came through",
        "main is ['SIGUSR1']",
        "child is ['SIGUSR1', 'SIGUSR2']",
        "Invalid argument",
    ]


@pytest.mark.parametrize("kind", ["RLock", "Condition"])
def test_a_handler_takes_a_lock_whatever_it_interrupts(kind: str):
    said = run(
        f"""
        import signal, threading
        lock, got, rounds = threading.{kind}(), [], []

        def handler(*_):
            with lock:
                got.append(1)

        def work():
            while len(got) < 20:
                with lock:
                    greenserve.sleep(0)
            rounds.append(1)

        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        workers = [threading.Thread(target=work) for _ in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(len(rounds))
        """
    )
    assert said == "3\n"
