"""service: the Date field (RFC 9110 §6.6.1), made once a second."""

from __future__ import annotations

import pytest

from greenserve.wsgi.service import DateLine

pytestmark = pytest.mark.no_hub


def test_the_line_of_each_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [784111777.2]
    monkeypatch.setattr("time.time", lambda: now[0])
    line = DateLine().line
    first = line()
    assert first == "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
    now[0] += 0.7
    assert line() is first
    now[0] += 0.2
    assert line() == "Date: Sun, 06 Nov 1994 08:49:38 GMT\r\n"
    now[0] -= 60  # a clock that is set back
    assert line() == "Date: Sun, 06 Nov 1994 08:48:38 GMT\r\n"
