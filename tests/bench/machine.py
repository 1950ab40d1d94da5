"""The machine: which cores are used, descriptor limits, memory and CPU time of a process and its children.

Linux only (/proc, sched_setaffinity). Knows nothing of servers or scenarios.
"""

import contextlib
import os
import platform
import resource
import subprocess
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def cores():
    """(server's core, load generator's core): the first two this process may use, or one twice."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[1 if len(allowed) > 1 else 0]


SERVER_CORE, LOAD_CORE = cores()


@contextlib.contextmanager
def pinned(core):
    """Children started meanwhile inherit the core; no preexec_fn, which is unsafe beside threads."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def raise_descriptor_limit():
    """As many descriptors as the hard limit gives; children inherit it. Returns the limit."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    want = min(hard, 65536) if hard != resource.RLIM_INFINITY else 65536
    resource.setrlimit(resource.RLIMIT_NOFILE, (want, hard))
    return want


def family(pid):
    """The process and all its descendants: gunicorn and granian serve from a child."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                stat = (entry / "stat").read_text()
                parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def memory_kib(pid):
    """Proportional set size of the family in KiB; resident size where the kernel does not tell PSS.

    User memory only: socket buffers and other kernel objects are the same for every server.
    """
    total = 0.0
    for one in family(pid):
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            try:
                rollup = Path(f"/proc/{one}/smaps_rollup").read_text()
                total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
            except (PermissionError, StopIteration):
                total += resident_kib(one)
    return total


def resident_kib(pid="self"):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE / 1024


def cpu_seconds(pid):
    """User and system time of the family so far."""
    total = 0
    for one in family(pid):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
    return total / TICKS


def listen_overflows():
    """Connections that the kernel refused because a listener's backlog was full, since boot."""
    with contextlib.suppress(OSError, ValueError):
        lines = [line.split() for line in Path("/proc/net/netstat").read_text().splitlines()]
        names, values = (line for line in lines if line[0] == "TcpExt:")
        return int(values[names.index("ListenOverflows")])
    return 0


def tcp_memory_kib():
    """What the kernel holds for all TCP of the machine, in KiB: buffers are in no process's memory."""
    for line in Path("/proc/net/sockstat").read_text().splitlines():
        if line.startswith("TCP:"):
            return int(line.rpartition(" mem ")[2]) * PAGE / 1024
    return 0.0


def describe():
    """What the README says beside the numbers."""
    model = ""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    wrk = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False, timeout=10).stdout
    return {
        "cpu": model or platform.machine(),
        "cores": os.cpu_count(),
        "server_core": SERVER_CORE,
        "load_core": LOAD_CORE,
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * PAGE / 2**30, 1),
        "kernel": platform.release(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "wrk": wrk.partition("\n")[0].partition(" [")[0],
        "load_average_at_start": round(os.getloadavg()[0], 2),
    }


def describe_line(machine):
    return (
        f"{machine['cpu']}, {machine['cores']} cores (server on {machine['server_core']}, load on "
        f"{machine['load_core']}), {machine['memory_gib']} GiB, Linux {machine['kernel']}, "
        f"{machine['python']}, {machine['wrk']}"
    )
