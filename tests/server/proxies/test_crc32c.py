"""proxies.crc32c: the checksum of RFC 4960 Appendix B."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.clients.proxy_headers import castagnoli

from greenserve.proxies.crc32c import crc32c


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),  # the catalogue of CRC algorithms' check value
        # RFC 3720 §B.4's test patterns.
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_the_published_values(data, value):
    assert crc32c(data) == value


@given(st.binary(max_size=300))
def test_any_data_gives_what_the_definition_gives(data):
    assert crc32c(data) == castagnoli(data)
