"""`python -m tests.migration.sqlalchemy_pool`: SQLAlchemy's QueuePool on PostgreSQL, unmodified, on greenserve.

pg8000 waits by sockets of Python, psycopg2 and psycopg in C. 50 green threads share 5 connections; a green thread that
waits too long gets SQLAlchemy's TimeoutError; one that is killed gives its connection back. Needs Debian's postgresql.
"""

from __future__ import annotations

import subprocess
import sys

import pytest
from tests.migration.kit.installing import Installed, installed
from tests.support.servers.services import postgres

PROGRAM = """\
import sys
import eventlet
eventlet.monkey_patch()
import time
from sqlalchemy import Column, Integer, create_engine, event, text
from sqlalchemy.exc import DBAPIError, TimeoutError
from sqlalchemy.orm import declarative_base, scoped_session, sessionmaker
from sqlalchemy.pool import QueuePool

assert eventlet.__name__ == "greenserve_eventlet"
driver, folder = sys.argv[1:]
where = f"unix_sock={folder}/.s.PGSQL.5432" if driver == "pg8000" else f"host={folder}&client_encoding=utf8"
engine = create_engine(
    f"postgresql+{driver}://tester@/postgres?{where}",
    poolclass=QueuePool, pool_size=5, max_overflow=0, pool_timeout=30, pool_pre_ping=True,
)
made, out = [], set()
event.listen(engine, "connect", lambda connection, record: made.append(1))
most = 0

def work(number):
    global most
    with engine.connect() as connection:
        out.add(number)
        most = max(most, len(out))
        connection.execute(text("select pg_sleep(0.2)"))
        out.discard(number)
        return connection.execute(text("select 2 * :number"), {"number": number}).scalar_one()

begin = time.monotonic()
assert list(eventlet.GreenPool(50).imap(work, range(50))) == list(range(0, 100, 2))
took = time.monotonic() - begin
assert most == len(made) == 5, (most, made)
assert 2 <= took < 6, took  # 10 s one after the other

kept = [engine.connect() for _ in range(5)]
engine.pool._timeout = 0.5
try:
    engine.connect()
except TimeoutError:
    pass
else:
    raise AssertionError("a sixth connection")
engine.pool._timeout = 30
waiting = eventlet.spawn(work, 7)
time.sleep(0.2)
assert not waiting.dead
kept.pop().close()
assert waiting.wait() == 14
for one in kept:
    one.close()

# What runs too long, or is killed, loses its connection, not its place in the pool.
try:
    with eventlet.Timeout(0.5), engine.connect() as connection:
        connection.execute(text("select pg_sleep(60)"))
except (eventlet.Timeout, DBAPIError):
    pass
else:
    raise AssertionError("no timeout")
killed = eventlet.spawn(work, 8)
time.sleep(0.1)
killed.kill()
assert engine.pool.checkedout() == 0, engine.pool.status()
assert list(eventlet.GreenPool(50).imap(work, range(20))) == list(range(0, 40, 2))
assert engine.pool.checkedout() == 0

# A session belongs to its green thread.
base = declarative_base()

class Note(base):
    __tablename__ = "notes_" + driver
    id = Column(Integer, primary_key=True)

base.metadata.create_all(engine)
session = scoped_session(sessionmaker(engine))

def note(number):
    session.add(Note(id=number))
    eventlet.sleep(0.01)
    assert [one.id for one in session.new] == [number]
    session.commit()
    session.remove()

list(eventlet.GreenPool(50).imap(note, range(100)))
assert session.query(Note).count() == 100
session.remove()
engine.dispose()
print(f"SQLAlchemy's QueuePool with {driver} worked: 50 times 0.2 s on 5 connections took {took:.1f} s")
"""
DRIVERS = ("pg8000", "psycopg2", "psycopg")
NEEDS = ("SQLAlchemy==2.1.9", "pg8000==1.31.6", "psycopg2-binary==2.9.13", "psycopg[binary]==3.3.9")


def main() -> int:
    """Run it with each driver and return the exit code."""
    try:
        with postgres() as database, installed(*NEEDS) as here:
            (here.folder / "program.py").write_text(PROGRAM)
            for driver in DRIVERS:
                _drive(here, driver, database.split()[0].removeprefix("host="))
    except pytest.skip.Exception as missing:
        sys.exit(f"{missing}: apt-get install postgresql")
    return 0


def _drive(here: Installed, driver: str, folder: str) -> None:
    command = [here.python, "-W", "ignore", "-m", "greenserve_eventlet", "program.py", driver, folder]
    subprocess.run(command, cwd=here.folder, env=here.environ(), timeout=120, check=True)


if __name__ == "__main__":
    sys.exit(main())
