"""Which of CPython's test modules are run, and with what.

Names are those of `test`'s modules, of any supported version: a module that a Python lacks is left out there, and a
package stands for each of its modules that MODULES names. Same list and same resources for every flavour.

multiprocessing's tests are one file of CPython's, test._test_multiprocessing, and a package for each way of starting a
process, which some releases forget to install. So modules/ has these packages' modules of our own.
"""

from pathlib import Path

PATH = Path(__file__).with_name("modules")

# What patching replaces: sockets, waiting, threads, processes, time, files of descriptors.
PATCHED = """
    socket timeout ssl select poll epoll selectors thread threading threading_local threadsignals threadedtempfile queue
    subprocess popen signal time sched fork1 wait3 wait4 os pty file_eintr context contextlib contextlib_async
    concurrent_futures.test_as_completed concurrent_futures.test_future concurrent_futures.test_init
    concurrent_futures.test_shutdown concurrent_futures.test_thread_pool concurrent_futures.test_wait
    concurrent_futures.test_deadlock concurrent_futures.test_process_pool concurrent_futures logging
    multiprocessing_main_handling
"""

# The same, in modules/.
MULTIPROCESSING = [
    f"multiprocessing_{method}_{kind}"
    for method in ("fork", "forkserver", "spawn")
    for kind in ("processes", "threads", "manager", "misc")
]

# What stands on it: clients and servers.
ABOVE = """
    socketserver httpservers httplib urllib2 urllib2_localnet ftplib poplib imaplib smtplib smtpd nntplib telnetlib
    asyncore asynchat xmlrpc docxmlrpc wsgiref robotparser
"""

# What brings its own loop, and must not be broken.
ASYNCIO = """
    base_events context events futures locks queues runners selector_events server sock_lowlevel streams subprocess
    taskgroups tasks threads timeouts unix_events waitfor
"""

MODULES = [f"test.test_{name}" for name in (PATCHED + ABOVE).split()]
MODULES += MULTIPROCESSING
MODULES += [f"test.test_asyncio.test_{name}" for name in ASYNCIO.split()]

# No "network": nothing but this machine. No "cpu", "largefile", "walltime": they take long and prove little here.
RESOURCES = ["subprocess"]
# These ask for "network" as a whole, and most of what they do is between sockets of this machine.
LOCAL_BUT_ASK_FOR_NETWORK = {"test.test_socketserver", "test.test_timeout"}

# Executors of interpreters have nothing to do with green threads. A pool's threads can't be terminated, and on 3.11 and
# 3.12 this test has them sleep for five minutes.
DROPPED = {
    "test.test_concurrent_futures": r"InterpreterPool",
    "multiprocessing_": r"WithThreadsTestPool\.test_terminate$",
}


def resources(module):
    return [*RESOURCES, "network"] if module in LOCAL_BUT_ASK_FOR_NETWORK else RESOURCES


def dropped(module):
    """A regular expression of the ids that are left out, or an empty string."""
    return next((pattern for prefix, pattern in DROPPED.items() if module.startswith(prefix)), "")


def chosen(names):
    """MODULES, or those that the names stand for.

    `socket`, `test_socket`, `test.test_socket`, `test_asyncio`, `multiprocessing_fork`.
    """
    if not names:
        return MODULES
    full = [full_name(name) for name in names]
    within = [one for one in MODULES for name in full if is_within(one, name)]
    return list(
        dict.fromkeys(within + [name for name in full if not any(one.startswith(name) for one in within)])
    )


def is_within(module, name):
    ours = module in MULTIPROCESSING and module.startswith(f"{name}_")
    return ours or module == name or module.startswith(f"{name}.")


def full_name(name):
    if any(is_within(one, name) for one in MULTIPROCESSING):
        return name
    name = name.removeprefix("test.")
    return f"test.{name}" if name.startswith("test_") else f"test.test_{name}"
