"""`python -m tests.bench.install`: the peers into this interpreter's environment, each by itself.

One that will not install takes none of the others with it; the reason is printed, kept in
bench-results/peers.json, and shown under the tables. Where libev's headers are what bjoern lacks and this
is root on a Debian, they are installed.
"""

import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.bench.peers import PEERS
from tests.bench.samples import OURS

FOLDER = Path("bench-results")
SECONDS = 600


def pip(*distributions):
    """None when they are installed, else the line of pip's output that says why not."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", *distributions]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return f"pip took more than {SECONDS} s"
    return None if result.returncode == 0 else cause(result.stdout + result.stderr)


def cause(output):
    """The compiler's complaint if there is one, else pip's last error."""
    lines = [line.strip() for line in output.splitlines()]
    for sign in ("fatal error:", "command 'gcc' failed", "No module named", "ERROR:", "error:"):
        found = [line for line in lines if sign in line]
        if found:
            return found[-1][:300]
    return lines[-1][:300] if lines else "pip said nothing"


def headers():
    """libev's headers by apt-get, where that is allowed; bounded, and quiet about a refusal."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return False
    command = ["apt-get", "install", "-y", "--no-install-recommends", "libev-dev"]
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        result = subprocess.run(command, capture_output=True, check=False, timeout=180, env=environment)
    except subprocess.TimeoutExpired:
        return False
    return result.returncode == 0


def install(peer):
    """Why the peer can't be used, or an empty string."""
    if not peer.missing():
        return ""
    reason = pip(peer.name, *peer.beside)
    if reason and "ev.h" in reason and headers():
        reason = pip(peer.name)
    importlib.invalidate_caches()
    if reason is None:
        return peer.missing()
    hint = f"; needs {peer.needs}" if peer.needs else ""
    return f"did not install{hint}: {reason}"


def main():
    FOLDER.mkdir(exist_ok=True)
    reasons = {}
    for peer in PEERS.values():
        if peer.name == OURS:
            continue
        reason = install(peer)
        print(f"{peer.name}: {reason or peer.version()}", flush=True)
        if reason:
            reasons[peer.name] = reason
    (FOLDER / "peers.json").write_text(json.dumps(reasons, indent=1) + "\n")
    return 0  # a missing peer is a finding, not a failure


if __name__ == "__main__":
    sys.exit(main())
