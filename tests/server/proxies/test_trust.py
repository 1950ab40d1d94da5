"""proxies.trust: who may speak for others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenserve.proxies.trust import Trust, canonical_peer


def trust(*items: str) -> Trust:
    return Trust(map(canonical_peer, items))


@pytest.mark.parametrize(
    ("items", "yes", "no"),
    [
        (["127.0.0.1"], ["127.0.0.1", "::ffff:127.0.0.1"], ["127.0.0.2", "::1", "", "localhost"]),
        (["::1"], ["::1", "0:0:0:0:0:0:0:1"], ["127.0.0.1", "::2", ""]),
        (
            ["10.0.0.0/8"],
            ["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"],
            ["11.0.0.0", "9.255.255.255", "::a00:1"],
        ),
        (["::ffff:10.0.0.0/104"], ["10.1.2.3", "::ffff:10.1.2.3"], ["11.1.2.3"]),
        (["::ffff:192.0.2.1"], ["192.0.2.1"], ["192.0.2.2"]),
        (["2001:db8::/32"], ["2001:db8::1"], ["2001:db9::1", "192.0.2.1"]),
        (["fe80::/10"], ["fe80::1%eth0", "fe80::1"], ["::1%eth0"]),
        (["unix"], [""], ["127.0.0.1", "unix"]),
        (["*"], ["192.0.2.1", "::1", "", "anything"], []),
        ([], [], ["127.0.0.1", "::1", ""]),
        (["192.0.2.1", "unix", "10.0.0.0/8"], ["192.0.2.1", "", "10.0.0.1"], ["192.0.2.2"]),
    ],
)
def test_who_is_trusted(items, yes, no):
    found = trust(*items)
    for _ in range(2):  # the second time it is remembered
        assert all(map(found.trusts, yes))
        assert not any(map(found.trusts, no))


def test_a_hop_is_named_by_its_address():
    assert trust("10.0.0.0/8").is_hop("10.1.2.3")
    assert not trust("10.0.0.0/8").is_hop("11.1.2.3")
    assert not trust("unix").is_hop("")


@pytest.mark.parametrize("everybody", ["*", "0.0.0.0/0", "::/0"])
def test_who_trusts_everybody_knows_no_hop_by_that(everybody):
    """Or each client could put whatever it likes behind its own address."""
    assert not trust(everybody).is_hop("192.0.2.1")
    assert not trust(everybody).is_hop("2001:db8::1")
    assert trust(everybody, "192.0.2.0/24").is_hop("192.0.2.1")


def test_answers_are_remembered_within_a_bound():
    found = trust("10.0.0.1")
    for number in range(5000):
        assert not found.trusts(f"192.0.{number // 256}.{number % 256}")
    assert len(found._answers) <= 1024
    assert found.trusts("10.0.0.1")


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        (" 127.0.0.1 ", "127.0.0.1"),
        ("UNIX", "unix"),
        ("*", "*"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("10.0.0.0/255.0.0.0", "10.0.0.0/8"),
        ("192.0.2.1/32", "192.0.2.1"),
        ("::1/128", "::1"),
        ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
    ],
)
def test_an_item_has_one_spelling(text, canonical):
    assert canonical_peer(text) == canonical
    assert canonical_peer(canonical) == canonical


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("", "not an address"),
        ("localhost", "not an address, a network such as 10.0.0.0/8, unix or *"),
        ("10.0.0.1/8", "did you mean 10.0.0.0/8?"),
        ("2001:db8::1/32", "did you mean 2001:db8::/32?"),
        ("10.0.0.0/33", "/33 is more bits than an address has"),
        ("10.0.0.0/", "ADDRESS/BITS"),
        ("10.0.0.0/x", "ADDRESS/BITS"),
        ("127.0.0.1:8000", "without brackets or port"),
        ("[::1]", "without brackets or port"),
        ("fe80::1%eth0", "omit the zone: fe80::1"),
        ("10.0.0.", "not an address"),
        ("010.0.0.1", "not an address"),
    ],
)
def test_an_error_says_what_to_write(text, advice):
    with pytest.raises(ValueError, match=r".") as caught:
        canonical_peer(text)
    assert advice in str(caught.value)


@given(st.ip_addresses(), st.data())
def test_a_network_holds_what_begins_with_its_bits(address, data):
    bits = data.draw(st.integers(1, address.max_prefixlen))
    # The addresses that are IPv4's are those of version 4, in whatever network of version 6 they lie.
    other = data.draw(
        st.ip_addresses(v=address.version).filter(lambda one: not getattr(one, "ipv4_mapped", None))
    )
    shift = address.max_prefixlen - bits
    base = type(address)(int(address) >> shift << shift)
    found = trust(f"{base}/{bits}")
    if getattr(base, "ipv4_mapped", None) is None:
        assert found.trusts(str(other)) == (int(other) >> shift == int(base) >> shift)
