"""Drivers that are told to let others run, when they are imported. With servers: test_real_libraries."""

from __future__ import annotations

from tests.support.programs.patched import run


def test_psycopg_is_told_whenever_it_is_imported():
    said = run(
        """
        import psycopg, psycopg2.extensions, sys
        print(psycopg.waiting.wait.__name__, psycopg2.extensions.get_wait_callback() is not None)
        print(psycopg.waiting.__loader__.__class__.__name__, psycopg.waiting.__spec__.loader.__class__.__name__)
        """
    )
    assert said == "wait_selector True\nSourceFileLoader SourceFileLoader\n"
    said = run(
        """
        import psycopg2.extensions
        greenserve.monkey_patch(psycopg=False)
        print(psycopg2.extensions.get_wait_callback())
        greenserve.monkey_patch(psycopg=True)
        print(psycopg2.extensions.get_wait_callback() is not None)
        """,
        patch=False,
        filters=("ignore::greenserve.MonkeyPatchWarning",),
    )
    assert said == "None\nTrue\n"


def test_mysqldb_runs_in_os_threads(tmp_path):
    (tmp_path / "MySQLdb.py").write_text(
        "import _thread\n"
        "class Cursor:\n"
        "    def execute(self, query): return _thread.get_native_id()\n"
        "class Connection:\n"
        "    made = 0\n"
        "    def __init__(self, **options): self.options = options; self.made = _thread.get_native_id()\n"
        "    def cursor(self): return Cursor()\n"
        "def connect(**options): return Connection(**options)\n"
        "Connect = connect\n"
    )
    said = run(
        """
        import sys, _thread
        sys.path.insert(0, sys.argv[1])
        greenserve.monkey_patch(MySQLdb=True)
        import MySQLdb
        connection = MySQLdb.connect(user="me")
        here = _thread.get_native_id()
        print(connection.options, connection.made != here, connection.cursor().execute("SELECT 1") != here)
        """,
        str(tmp_path),
        patch=False,
    )
    assert said == "{'user': 'me'} True True\n"
