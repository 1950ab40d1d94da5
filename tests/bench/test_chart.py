"""The chart in README.md is the table in RESULTS.md."""

import pytest
from tests.bench import chart

pytestmark = pytest.mark.repository

TABLE = """
## Speed

| server | slow, /s | fast, /s |
| --- | ---: | ---: |
| ours 1 | 1 | 2,000 |
| theirs 2 | 2 | 500 (4.00x) |
| none 3 | 3 | - |

## Others

| server | fast, /s |
"""


def test_the_chart_is_what_the_table_says():
    readme = chart.README.read_text(encoding="utf-8")
    assert chart.MARKERS.search(readme)
    drawn = chart.with_chart(readme, chart.RESULTS.read_text(encoding="utf-8"))
    assert drawn == readme, "run: python -m tests.bench.chart"


def test_a_column_is_found_by_its_name():
    assert chart.column(TABLE, "Speed", "fast, /s") == {"ours 1": 2000, "theirs 2": 500}


def test_bars_are_as_long_as_their_numbers():
    first, second = chart.bars({"theirs 2": 500, "ours 1": 2000}).splitlines()
    assert first == f"ours 1    {'█' * 48}    2,000"
    assert second == f"theirs 2  {'█' * 12}{' ' * 36}      500"
