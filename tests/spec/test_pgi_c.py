"""Patient Global Impression of Change: the answer is the score."""

title = "PGI-C: overall change"
text = """
One rating of 1 (very much better) to 7 (very much worse), 4 being no change, since before the study treatment, in our
own wording. Its value is the score. LOW is better.
"""


def test_change(scoring_spec):
    scoring_spec(
        "pgi_c",
        "1.0",
        """
        | pgic01 | = change        |
        |      1 |               1 |
        |      3 |               3 |
        |      4 |               4 |
        |      5 |               5 |
        |      7 |               7 |
        |        | too_few_answers |
    """,
    )
