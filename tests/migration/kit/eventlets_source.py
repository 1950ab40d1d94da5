"""A folder of eventlet's source, from its sdist on PyPI. It is never part of this repository."""

from __future__ import annotations

import tarfile
from pathlib import Path

from tests.migration.kit.installing import Installed

RELEASE = "0.41.3"


def unpack(here: Installed, name: str, into: Path) -> None:
    """Put the folder `name` into another one, without the package: `import eventlet` would find it there."""
    here.pip("download", "--no-deps", "--no-binary", ":all:", f"eventlet=={RELEASE}")
    (archive,) = here.folder.glob("eventlet-*.tar.gz")
    with tarfile.open(archive) as packed:
        for member in packed:
            member.name = member.name.partition("/")[2]
            if member.name.startswith(f"{name}/"):
                packed.extract(member, into, filter="data")
