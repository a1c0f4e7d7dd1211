"""EQ-5D-5L: profile, China index and the scale of 0 to 100."""

title = "EQ-5D-5L: profile, index (China) and visual analogue scale"
text = """
Five dimensions with levels 1 to 5, today. The profile is the five levels as digits, 9 where one is missing; it has
no direction. The index is 1 minus a decrement for each level above 1 (Luo 2017, in thousandths below); it needs all
five and higher is better. The visual analogue scale, 0 to 100, is its own score, and higher is better.

Level 2 to 5: mobility 66, 158, 287, 345; self-care 48, 116, 210, 253; usual activities 45, 107, 194, 233; pain 58,
138, 252, 302; anxiety 49, 118, 215, 258.
"""


def test_published_values(scoring_spec):
    scoring_spec(
        "eq5d5l",
        "1.0",
        """
        | eq01 | eq02 | eq03 | eq04 | eq05 | = profile | = index_china |
        |    1 |    1 |    1 |    1 |    1 |     11111 |             1 |
        |    2 |    1 |    1 |    1 |    1 |     21111 |         0.934 |
        |    1 |    2 |    1 |    1 |    1 |     12111 |         0.952 |
        |    1 |    1 |    2 |    1 |    1 |     11211 |         0.955 |
        |    1 |    1 |    1 |    2 |    1 |     11121 |         0.942 |
        |    1 |    1 |    1 |    1 |    2 |     11112 |         0.951 |
        |    2 |    2 |    2 |    2 |    2 |     22222 |         0.734 |
        |    3 |    3 |    3 |    3 |    3 |     33333 |         0.363 |
        |    4 |    4 |    4 |    4 |    4 |     44444 |        -0.158 |
        |    5 |    5 |    5 |    5 |    5 |     55555 |        -0.391 |
    """,
    )


def test_each_level_of_each_dimension(scoring_spec):
    scoring_spec(
        "eq5d5l",
        "1.0",
        """
        | eq01 | eq02 | eq03 | eq04 | eq05 | = profile | = index_china |
        |    3 |    1 |    1 |    1 |    1 |     31111 |         0.842 |
        |    4 |    1 |    1 |    1 |    1 |     41111 |         0.713 |
        |    5 |    1 |    1 |    1 |    1 |     51111 |         0.655 |
        |    1 |    3 |    1 |    1 |    1 |     13111 |         0.884 |
        |    1 |    4 |    1 |    1 |    1 |     14111 |          0.79 |
        |    1 |    5 |    1 |    1 |    1 |     15111 |         0.747 |
        |    1 |    1 |    3 |    1 |    1 |     11311 |         0.893 |
        |    1 |    1 |    4 |    1 |    1 |     11411 |         0.806 |
        |    1 |    1 |    5 |    1 |    1 |     11511 |         0.767 |
        |    1 |    1 |    1 |    3 |    1 |     11131 |         0.862 |
        |    1 |    1 |    1 |    4 |    1 |     11141 |         0.748 |
        |    1 |    1 |    1 |    5 |    1 |     11151 |         0.698 |
        |    1 |    1 |    1 |    1 |    3 |     11113 |         0.882 |
        |    1 |    1 |    1 |    1 |    4 |     11114 |         0.785 |
        |    1 |    1 |    1 |    1 |    5 |     11115 |         0.742 |
        |    1 |    2 |    3 |    4 |    5 |     12345 |         0.335 |
        |    5 |    4 |    3 |    2 |    1 |     54321 |          0.28 |
    """,
    )


def test_a_missing_dimension_is_a_nine_and_leaves_no_index(scoring_spec):
    scoring_spec(
        "eq5d5l",
        "1.0",
        """
        | eq01 | eq02 | eq03 | eq04 | eq05 | = profile | = index_china   |
        |    2 |    1 |      |    1 |    1 |     21911 | too_few_answers |
        |      |    1 |    1 |    1 |    1 |     91111 | too_few_answers |
        |    1 |    1 |    1 |    1 |      |     11119 |               - |
        |    5 |    4 |    3 |      |      |     54399 |               - |
        |      |      |    4 |      |      |     99499 |               - |
        |      |      |      |      |      |         - |               - |
    """,
    )


def test_the_visual_analogue_scale_stands_alone(scoring_spec):
    scoring_spec(
        "eq5d5l",
        "1.0",
        """
        | eq01 | eq02 | eq03 | eq04 | eq05 | eq06 | = profile | = index_china | = vas           |
        |      |      |      |      |      |    0 |         - |             - |               0 |
        |      |      |      |      |      |   63 |         - |             - |              63 |
        |      |      |      |      |      |  100 |         - |             - |             100 |
        |    1 |    1 |    1 |    1 |    1 |   40 |     11111 |             1 |              40 |
        |    1 |    1 |    1 |    1 |    1 |      |     11111 |             1 | too_few_answers |
    """,
    )
