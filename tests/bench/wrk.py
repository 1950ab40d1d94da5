"""wrk on the load core, one thread. Raises LoadFailed where its numbers would mean nothing."""

import json
import subprocess
from pathlib import Path

from tests.bench import machine

SCRIPT = Path(__file__).with_name("wrk_report.lua")


class LoadFailed(Exception):
    """The load did not run as asked: errors instead of answers."""


def run(server, connections, seconds):
    """What `connections` keep-alive connections get in a closed loop of `seconds` (whole, at least 1).

    Adds `rps`, and `cpu`: the share of the server's core that was in use (near 1: the server was the
    bottleneck).
    """
    seconds = max(1, round(seconds))
    command = [
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{seconds}s",
        "--timeout",
        "5s",
        "-s",
        str(SCRIPT),
        server.url,
    ]
    before = server.cpu_seconds()
    with machine.pinned(machine.LOAD_CORE):
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 30)
    cpu = server.cpu_seconds() - before
    server.check()
    line = next((one for one in result.stdout.splitlines() if one.startswith("REPORT ")), None)
    if line is None:
        raise LoadFailed(f"wrk said nothing: {result.stderr.strip() or result.stdout.strip()}")
    report = json.loads(line.removeprefix("REPORT "))
    report["rps"] = report["requests"] / report["seconds"]
    report["cpu"] = round(cpu / report["seconds"], 3)
    failures = sum(report[key] for key in ("connect", "read", "write", "status", "timeout"))
    # A server may close a connection now and then (wrk reopens it); one in a hundred is another test.
    if not report["requests"] or failures > report["requests"] / 100:
        kinds = ", ".join(f"{key} {report[key]}" for key in ("connect", "read", "write", "status", "timeout"))
        raise LoadFailed(f"{failures} errors in {report['requests']} requests ({kinds})")
    return report
