"""The reader of the tables bites: a wrong table fails, and one that proves nothing is refused."""

import pytest


@pytest.mark.parametrize("table", [
    "| lq09 | lq10 | lq11 | = pain |\n| 4 | 2 | 0 | 51 |",
    "| lq09 | lq10 | lq11 | = pain |\n| 4 | 2 | 0 | - |",
    "| lq09 | lq10 | lq11 | = pain |\n| 4 | | | 100 |",
    "| lq09 | lq10 | lq11 | = pane |\n| 4 | 2 | 0 | 50 |",
    "| lq09 | lq10 | lq11 | = pain |",
    "| lq09 | lq10 | lq11 |\n| 4 | 2 | 0 |",
], ids=["other value", "no score expected", "a score expected", "no such scale", "no rows", "no scale"])  # fmt: skip
def test_a_wrong_table_fails(scoring_spec, table):
    with pytest.raises(AssertionError):
        scoring_spec("lupusqol", "1.0", table)
