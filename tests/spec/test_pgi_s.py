"""Patient Global Impression of Severity: the answer is the score."""

title = "PGI-S: overall severity"
text = """
One rating of 0 (none) to 4 (very severe) of the past 7 days, in our own wording. Its value is the score, and higher
is worse.
"""


def test_severity(scoring_spec):
    scoring_spec(
        "pgi_s",
        "1.0",
        """
        | pgis01 | = severity      |
        |      0 |               0 |
        |      1 |               1 |
        |      2 |               2 |
        |      3 |               3 |
        |      4 |               4 |
        |        | too_few_answers |
    """,
    )
