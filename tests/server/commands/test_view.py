"""view: what `greenserve top` shows, for any numbers and any width."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.servers.masters import FakeMaster, fake_master

from greenserve.admin.history import History
from greenserve.admin.summaries import live
from greenserve.commands.view import lines
from greenserve_hub.testing import FakeClock

SGR = re.compile(r"\x1b\[\d+m")


@pytest.fixture
def master() -> Iterator[FakeMaster]:
    with fake_master() as master:
        yield master


def shown(master: FakeMaster, requests: Any = (), width: int = 200, is_coloured: bool = False) -> list[str]:
    clock = FakeClock()
    history = History(master, clock)
    clock.advance(2)
    master.works(1, 2468, 0.02)
    history.sample()
    now = json.loads(json.dumps(live(master))), json.loads(history.since(0, None))
    asked = {"workers": [{"number": 1, "count": len(requests), "requests": requests}]}
    return lines("unix:/run/admin", {"now": now[0], "history": now[1]}, asked, width, is_coloured)


def one(route: str, age: float = 0.5, is_websocket: bool = False) -> dict[str, Any]:
    return {
        "route": route,
        "age": age,
        "is_websocket": is_websocket,
        "waits_for": "read fd 9",
        "state": "in the app",
    }


def test_totals_workers_and_requests(master):
    master.rows[1]["active"], master.rows[1]["pool"] = 3, 1000
    master.rows[1]["connections_parked"] = 12
    master.rows[2]["resident_bytes"] = 123_456_789
    master.states[2] = "stuck"
    text = "\n".join(shown(master, [one("GET /young"), one("GET /old", 75)]))
    for wanted in (
        "1 of 2 workers ready, at unix:/run/admin",
        "1,234.0",
        "p50 20",
        "3 of 1,000 in use",
        "12: 12 parked",
        "123 MB",
        "stuck",
        "read fd 9",
    ):
        assert wanted in text
    assert text.index("GET /old") < text.index("GET /young")


def test_a_worker_that_does_not_answer_is_named(master):
    found = lines(
        "a",
        {"now": live(master), "history": {"fine": []}},
        {"workers": [{"number": 2, "error": "is stuck"}]},
        80,
        False,
    )
    assert "worker 2 is stuck" in found
    assert any("first numbers" in line for line in found)


@pytest.mark.parametrize("width", [1, 10, 40, 80, 300])
@pytest.mark.parametrize("is_coloured", [False, True])
def test_no_line_is_wider_than_the_screen(master, width, is_coloured):
    for line in shown(master, [one("GET /" + "a" * 500)], width, is_coloured):
        assert len(SGR.sub("", line)) <= width


def test_what_clients_send_commands_no_terminal(master):
    found = shown(master, [one("GET /\x1b]0;owned\x07\x9b2J\u202e")])
    assert all(line.isprintable() for line in found)


def test_slow_requests_stand_out_and_old_websockets_do_not(master):
    found = shown(master, [one("GET /slow", 3), one("GET /ws", 3, is_websocket=True)], is_coloured=True)
    assert "\x1b[33m" in next(line for line in found if "/slow" in line)
    assert "\x1b[33m" not in next(line for line in found if "/ws" in line)
