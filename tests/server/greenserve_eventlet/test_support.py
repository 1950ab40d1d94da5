"""eventlet.support: what programs import from there."""

from __future__ import annotations

import pytest
from tests.support.programs.commands import run_python

from greenserve_eventlet import support
from greenserve_eventlet.support import greendns


def test_errors():
    assert support.get_errno(OSError(5, "x")) == 5
    assert support.get_errno(ValueError("x")) == "x"
    assert support.get_errno(ValueError()) is None
    assert support.bytes_to_str(b"x") == "x"


def test_a_deprecated_class_stays_one():
    old = support.wrap_deprecated("Old", "new.Name")(ValueError)
    assert issubclass(old, ValueError)
    with pytest.warns(DeprecationWarning, match=r"eventlet\.Old is deprecated: use new\.Name"):
        assert isinstance(old("x"), ValueError)


def test_lookups():
    assert greendns.gethostbyname("localhost").startswith("127.")
    assert greendns.resolve("127.0.0.1") == ["127.0.0.1"]
    assert greendns.resolve("host.invalid", raises=False) == []
    with pytest.raises(OSError, match=r"."):
        greendns.resolve("host.invalid")
    assert [greendns.is_ipv4_addr("::1"), greendns.is_ipv6_addr("::1"), greendns.is_ip_addr(b"1.2.3.4")] == [
        *(False, True, True)
    ]
    assert not greendns.is_ip_addr("localhost")
    assert not greendns.is_ip_addr(None)


def test_psycopg2_is_told_without_monkey_patching():
    code = """
import psycopg2.extensions
from greenserve_eventlet.patcher import is_monkey_patched
from greenserve_eventlet.support.psycopg2_patcher import make_psycopg_green
print(psycopg2.extensions.get_wait_callback())
make_psycopg_green()
print(psycopg2.extensions.get_wait_callback() is not None, is_monkey_patched("socket"))
"""
    done = run_python("-W", "error", "-c", code)
    assert done.stdout == "None\nTrue False\n", done.stderr
