"""config.values: durations, sizes, counts, switches and modes, both ways."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenserve.config.values import values


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 30.0),
        ("30s", 30.0),
        ("500ms", 0.5),
        ("5m", 300.0),
        ("1h", 3600.0),
        ("1d", 86400.0),
        ("1.5s", 1.5),
        (".5", 0.5),
        (" 2 M ", 120.0),
        ("off", 0.0),
        ("OFF", 0.0),
        ("0", 0.0),
        ("0ms", 0.0),
        (7, 7.0),
        (0.25, 0.25),
        (0, 0.0),
        (None, 0.0),
        (False, 0.0),
    ],
)
def test_durations(text: object, seconds: float) -> None:
    assert values.parse_duration(text) == seconds


@pytest.mark.parametrize(
    "bad",
    [
        *(
            "",
            "ten",
            "-1",
            "1w",
            "1h30m",
            "inf",
            "nan",
            "1e3",
            "٣",
            "0x10",
            "1 0",
            "400d",
            "0.1ms",
            "9" * 400,
        ),
        *("0.1ms", -1, True, math.nan, math.inf, -math.inf, 10**400, 1e-9, [30], b"30"),
    ],
)
def test_what_is_no_duration(bad: object) -> None:
    with pytest.raises(ValueError, match="not"):
        values.parse_duration(bad)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "off"),
        (30.0, "30s"),
        (75.0, "75s"),
        (300.0, "5m"),
        (0.5, "500ms"),
        (1.5, "1500ms"),
        (86400.0, "1d"),
    ],
)
def test_durations_print_in_the_largest_unit_that_holds_them(seconds: float, text: str) -> None:
    assert values.format_duration(seconds) == text


@given(st.floats(values.SHORTEST, values.LONGEST))
def test_any_duration_survives_printing(seconds: float) -> None:
    assert values.parse_duration(values.format_duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("8190", 8190),
        ("16K", 16384),
        ("16k", 16384),
        ("16KiB", 16384),
        ("16M", 16 << 20),
        ("16 MiB", 16 << 20),
        ("1G", 1 << 30),
        ("1T", 1 << 40),
        ("100B", 100),
        ("off", 0),
        (4096, 4096),
        (None, 0),
    ],
)
def test_sizes(text: object, size: int) -> None:
    assert values.parse_size(text) == size


@pytest.mark.parametrize(
    "bad", ["", "K", "-1", "1.5M", "16KB", "2T", "9" * 30, "1P", -1, 1.5, True, [1], b"1"]
)
def test_what_is_no_size(bad: object) -> None:
    with pytest.raises(ValueError, match="not"):
        values.parse_size(bad)


@given(st.integers(0, values.LARGEST))
def test_any_size_survives_printing(size: int) -> None:
    assert values.parse_size(values.format_size(size)) == size


@given(st.text(max_size=12))
def test_any_text_is_a_value_in_range_or_a_value_error(text: str) -> None:
    for parse, most in ((values.parse_duration, values.LONGEST), (values.parse_size, values.LARGEST)):
        try:
            value: float = parse(text)
        except ValueError:
            continue
        assert 0 <= value <= most


@pytest.mark.parametrize(("given", "number"), [("12", 12), (12, 12), (" 0 ", 0), ("2147483647", 2147483647)])
def test_counts(given: object, number: int) -> None:
    assert values.parse_count(given) == number


@pytest.mark.parametrize("bad", ["", "-1", "1_0", "٣", "1.0", 1.0, True, "2147483648", -1, None, "9" * 30])
def test_what_is_no_count(bad: object) -> None:
    with pytest.raises(ValueError, match="not"):
        values.parse_count(bad)


@pytest.mark.parametrize("yes", ["1", "true", "Yes", "on", True, 1])
def test_yes(yes: object) -> None:
    assert values.parse_bool(yes) is True


@pytest.mark.parametrize("no", ["0", "false", "NO", "off", False, 0])
def test_no(no: object) -> None:
    assert values.parse_bool(no) is False


@pytest.mark.parametrize("bad", ["", "maybe", 2, None, 1.0, []])
def test_neither_yes_nor_no(bad: object) -> None:
    with pytest.raises(ValueError, match="neither"):
        values.parse_bool(bad)


@pytest.mark.parametrize("given", ["660", "0660", "0o660", 0o660])
def test_modes(given: object) -> None:
    assert values.parse_mode(given) == 0o660
    assert values.format_mode(0o660) == "0660"


@pytest.mark.parametrize("bad", ["", "680", "1777", "rw", -1, 0o1000, 660, True, 6.6, None])
def test_what_is_no_mode(bad: Any) -> None:
    with pytest.raises(ValueError, match="not"):
        values.parse_mode(bad)
