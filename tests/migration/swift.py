"""`python -m tests.migration.swift`: a whole OpenStack Swift, unmodified, on greenserve.

Proxy, account, container and object servers on three devices, with tempauth and memcached, a policy of three replicas
and one of erasure codes. The client uploads and reads objects of 30 MB, parts of them, with a length and in chunks; the
daemons make anew what a device has lost; the proxy is reloaded in the middle of an upload. Needs the program memcached,
and a file system with extended attributes.
"""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tests.migration.kit.driving import ask, free_port, running
from tests.migration.kit.installing import Installed, installed

REQUIRED = ("swift==2.38.3", "setuptools<81")
HOOK = ("-m", "greenserve_eventlet")
DEVICES = ("d1", "d2", "d3")
SERVERS = ("account", "container", "object")
# What the servers load beside swift: a check that they run on greenserve, and a log that the script can show. Its
# daemons look into /etc/swift only, and so do its servers for policies, so this is told again.
BESIDE = """\
import logging, os, sys
from swift.common.storage_policy import reload_storage_policies
from swift.common.utils import set_swift_dir
assert sys.modules["eventlet"].__name__ == "greenserve_eventlet"

def log(conf, name, to_console, route, format, logger, adapted):
    set_swift_dir(conf["swift_dir"])
    reload_storage_policies()
    if not any(isinstance(one, logging.FileHandler) for one in logger.handlers):
        handler = logging.FileHandler(os.path.join(conf["swift_dir"], "log"))
        handler.setFormatter(logging.Formatter("%(server)s: %(message)s"))
        logger.addHandler(handler)
"""
SWIFT = """\
[swift-hash]
swift_hash_path_prefix = prefix
swift_hash_path_suffix = suffix

[storage-policy:0]
name = copies
default = yes

[storage-policy:1]
name = codes
policy_type = erasure_coding
ec_type = liberasurecode_rs_vand
ec_num_data_fragments = 2
ec_num_parity_fragments = 1
"""
DEFAULT = """\
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = {workers}
user = {user}
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
fallocate_reserve = 0
log_custom_handlers = beside.log
client_timeout = 120
conn_timeout = 30
node_timeout = 120
container_update_timeout = 60

"""
STORAGE = """\
[pipeline:main]
pipeline = {server}-server

[app:{server}-server]
use = egg:swift#{server}
"""
DAEMONS = """
[object-replicator]
sync_method = ssync
recon_cache_path = {folder}

[object-reconstructor]
recon_cache_path = {folder}
"""
FILTERS = (
    "catch_errors",
    "gatekeeper",
    "listing_formats",
    "bulk",
    "copy",
    "dlo",
    "slo",
    "versioned_writes",
    "symlink",
)
PROXY = """\
[pipeline:main]
pipeline = catch_errors gatekeeper cache listing_formats bulk tempauth copy
    dlo slo versioned_writes symlink proxy-server

[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true

[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin

[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:{memcached}
"""
CLIENT = Path(__file__).parent / "kit" / "swift_client.py"


def main() -> int:
    """Run it and return the exit code."""
    memcached = shutil.which("memcached")
    if memcached is None:
        sys.exit("memcached is needed: apt-get install memcached")
    with installed(*REQUIRED) as here, ExitStack() as stack:
        _check_attributes(here.folder)
        stack.enter_context(_log_shown_on_failure(here.folder / "log"))
        ports = {server: free_port() for server in (*SERVERS, "memcached", "proxy")}
        _configure(here, ports)
        commands: dict[str, tuple[object, ...]] = {
            server: (here.python, *HOOK, here.bin / f"swift-{server}-server", here.folder / f"{server}.conf")
            for server in (*SERVERS, "proxy")
        }
        commands["memcached"] = (
            memcached,
            "-l",
            "127.0.0.1",
            "-u",
            getpass.getuser(),
            "-p",
            ports["memcached"],
        )
        programs = {
            server: stack.enter_context(running(here, port, *commands[server], PYTHONPATH=str(here.folder)))
            for server, port in ports.items()
        }
        client = CLIENT.read_text()
        ask(here, client, ports["proxy"], "everything")
        ask(here, client, ports["proxy"], "leave")
        _lose_and_mend(here)
        ask(here, client, ports["proxy"], "find")
        ask(here, client, ports["proxy"], "reload", programs["proxy"].pid, here.folder / "log")
        print("swift worked", flush=True)
    return 0


def _lose_and_mend(here: Installed) -> None:
    """Lose what one device has, have it made anew, and lose another device, so that a client needs what is new."""
    first, second = (here.folder / "devices" / device for device in DEVICES[:2])
    policies = ("objects", "objects-1")
    for policy in policies:
        shutil.rmtree(first / policy)
    for daemon in ("replicator", "reconstructor"):
        command = [
            here.python,
            *HOOK,
            here.bin / f"swift-object-{daemon}",
            here.folder / "object.conf",
            "once",
        ]
        environ = here.environ(PYTHONPATH=str(here.folder))
        subprocess.run(command, cwd=here.folder, env=environ, timeout=300, check=True)
    for policy in policies:
        assert len(list((first / policy).rglob("*.data"))) == 1, policy
        shutil.rmtree(second / policy)


def _check_attributes(folder: Path) -> None:
    try:
        os.setxattr(folder, "user.greenserve", b"x")
    except OSError as error:
        sys.exit(f"swift keeps metadata in extended attributes, which {folder} has not: set TMPDIR ({error})")


def _configure(here: Installed, ports: dict[str, int]) -> None:
    folder = here.folder
    (folder / "beside.py").write_text(BESIDE)
    (folder / "swift.conf").write_text(SWIFT)
    for device in DEVICES:
        (folder / "devices" / device).mkdir(parents=True)
    for server in (*SERVERS, "proxy"):
        text = DEFAULT.format(
            port=ports[server], user=getpass.getuser(), folder=folder, workers=2 if server == "proxy" else 1
        )
        if server == "proxy":
            text += PROXY.format(memcached=ports["memcached"])
            text += "".join(f"\n[filter:{name}]\nuse = egg:swift#{name}\n" for name in FILTERS)
        else:
            text += STORAGE.format(server=server)
            text += DAEMONS.format(folder=folder) if server == "object" else ""
        (folder / f"{server}.conf").write_text(text)
    for server, ring in (*zip(SERVERS, SERVERS, strict=True), ("object", "object-1")):
        builder = f"{ring}.builder"
        _build(here, builder, "create", "4", "3", "1")
        for device in DEVICES:
            _build(here, builder, "add", f"r1z1-127.0.0.1:{ports[server]}/{device}", "1")
        _build(here, builder, "rebalance")


def _build(here: Installed, *arguments: str) -> None:
    command = [here.python, *HOOK, here.bin / "swift-ring-builder", *arguments]
    subprocess.run(command, cwd=here.folder, env=here.environ(), check=True, stdout=subprocess.DEVNULL)


@contextmanager
def _log_shown_on_failure(log: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with suppress(FileNotFoundError):
            print(log.read_text()[-20_000:], file=sys.stderr)
        raise


if __name__ == "__main__":
    sys.exit(main())
