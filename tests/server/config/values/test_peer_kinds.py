"""config.peer_kinds: lists of proxies and of the fields that they set."""

from __future__ import annotations

import pytest

from greenserve.config.values.kinds import Kind
from greenserve.config.values.peer_kinds import field_names, peers


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        (peers(), "127.0.0.1, ::1 ,UNIX", ("127.0.0.1", "::1", "unix")),
        (peers(), ["10.0.0.0/8", "192.0.2.1,192.0.2.2"], ("10.0.0.0/8", "192.0.2.1", "192.0.2.2")),
        (peers(), ["::0:1", "::1"], ("::1",)),
        (peers(), "*", ("*",)),
        *((peers(), off, ()) for off in ("off", " OFF ", ["off"], None, False, [], ())),
        (field_names(), "X-Forwarded-For, x-forwarded-for,X-Real-IP", ("x-forwarded-for", "x-real-ip")),
        (field_names(), "Forwarded", ("forwarded",)),
        (field_names(), ["forwarded", "x-forwarded-user"], ("forwarded", "x-forwarded-user")),
        (field_names(), "off", ()),
    ],
)
def test_a_list_is_read_and_reads_to_itself(kind: Kind, given: object, value: object) -> None:
    assert kind.parse(given) == value
    assert kind.parse(value) == value
    assert kind.parse(kind.format(value)) == value


@pytest.mark.parametrize(
    ("kind", "given", "reason"),
    [
        (peers(), "", "not an address"),
        (peers(), "127.0.0.1,", "not an address"),
        (peers(), "127.0.0.1,off", "'off' is not an address"),
        (peers(), "10.0.0.1/8", "did you mean 10.0.0.0/8"),
        (peers(), 5, "not a list"),
        (peers(), b"127.0.0.1", "not a list"),
        (peers(), [5], "5 is not text"),
        (field_names(), "", "'' is not the name of a field"),
        (field_names(), "x" * 65, "is not the name of a field"),
        (field_names(), "x forwarded for", "is not the name of a field"),
        (field_names(), "x_forwarded_for", "is not the name of a field"),
        (field_names(), "forwarded,x-forwarded-proto", "forwarded and x-forwarded-proto say the same"),
    ],
)
def test_a_bad_list_is_refused_with_the_reason(kind: Kind, given: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        kind.parse(given)
