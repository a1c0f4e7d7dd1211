"""What the published rules make of answers: an oracle for the scoring engine.

Written from the rules alone. It shares nothing with the definitions or the engine: it has its own item numbers and
tables, and computes with exact fractions. A score is a fraction, or the reason for there being none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

TOO_FEW, UNEMPLOYED, NO_HOURS, NOTHING_WORKED = (
    "too_few_answers",
    "not_employed",
    "no_hours",
    "nothing_worked",
)

Codes = dict[str, int]
"""Answered items only: item id -> code as it stands on the form."""

Result = Fraction | str
Results = dict[str, Result]


def published(code: str, answers: dict[str, Any]) -> Results:
    """Every score of the instrument but the standard errors, which the sources do not print in full."""
    words = (None, "NA", "REFUSED", "NOT_ASKED")
    return RULES[code]({name: int(answer) for name, answer in answers.items() if answer not in words})


def of(codes: Codes, prefix: str, numbers: Iterable[int], digits: int = 2) -> list[int]:
    """The codes given under these numbers."""
    names = [f"{prefix}{number:0{digits}d}" for number in numbers]
    return [codes[name] for name in names if name in codes]


def mean(values: list[int], least: int) -> Result:
    return Fraction(sum(values), len(values)) if len(values) >= least else TOO_FEW


def full_sum(values: list[int], needed: int) -> Result:
    return Fraction(sum(values)) if len(values) == needed else TOO_FEW


def one(codes: Codes, name: str) -> Result:
    return Fraction(codes[name]) if name in codes else TOO_FEW


def turned(codes: Codes, prefix: str, numbers: Iterable[int], both_ends: int) -> Codes:
    """A copy in which these items are counted from the other end."""
    names = {f"{prefix}{number:02d}" for number in numbers}
    return {name: both_ends - code if name in names else code for name, code in codes.items()}


# Lupus


LUPUSQOL = {
    "physical_health": range(1, 9),
    "pain": range(9, 12),
    "planning": range(12, 15),
    "intimate_relationships": range(15, 17),
    "burden_to_others": range(17, 20),
    "emotional_health": range(20, 26),
    "body_image": range(26, 31),
    "fatigue": range(31, 35),
}


def lupusqol(codes: Codes) -> Results:
    """Mean of the answered, of 4, in per cent; half of the domain is enough."""
    return {
        domain: lupusqol_domain(of(codes, "lq", numbers), len(numbers))
        for domain, numbers in LUPUSQOL.items()
    }


def lupusqol_domain(given: list[int], size: int) -> Result:
    if not given or Fraction(len(given), size) < Fraction(1, 2):
        return TOO_FEW
    return Fraction(sum(given), len(given)) / 4 * 100


def lupus_impact_tracker(codes: Codes) -> Results:
    """The printed table is the sum times two and a half."""
    total = full_sum(of(codes, "li", range(1, 11)), 10)
    return {"total": total if isinstance(total, str) else total * Fraction(5, 2)}


# Fatigue


def facit(codes: Codes) -> Results:
    """All but 7 and 8 turned; prorated to 13; more than half of 13 is 7."""
    scored = of(turned(codes, "ff", {*range(1, 14)} - {7, 8}, 4), "ff", range(1, 14))
    return {"total": Fraction(sum(scored) * 13, len(scored)) if len(scored) >= 7 else TOO_FEW}


def fss(codes: Codes) -> Results:
    nine, last = of(codes, "fss", range(1, 10), 1), of(codes, "fss", range(3, 10), 1)
    return {"fss9_mean": mean(nine, 9), "fss7_mean": mean(last, 7)}


def mfi(codes: Codes) -> Results:
    scored = turned(codes, "mf", [2, 5, 9, 10, 13, 14, 16, 17, 18, 19], 6)
    subscales = {
        "general_fatigue": [1, 5, 12, 16],
        "physical_fatigue": [2, 8, 14, 20],
        "reduced_activity": [3, 6, 10, 17],
        "reduced_motivation": [4, 9, 15, 18],
        "mental_fatigue": [7, 11, 13, 19],
    }
    return {name: full_sum(of(scored, "mf", numbers), 4) for name, numbers in subscales.items()}


def bfi(codes: Codes) -> Results:
    """5 of 9; for the two parts no rule is published and ours is more than half: 2 of 3, 4 of 6."""
    return {
        "global_score": mean(of(codes, "bf", range(1, 10)), 5),
        "severity": mean(of(codes, "bf", range(1, 4)), 2),
        "interference": mean(of(codes, "bf", range(4, 10)), 4),
    }


def chalder(codes: Codes) -> Results:
    bimodal = {name: {0: 0, 1: 0, 2: 1, 3: 1}[code] for name, code in codes.items()}
    return {
        "likert_total": full_sum(of(codes, "cf", range(1, 12)), 11),
        "likert_physical": full_sum(of(codes, "cf", range(1, 8)), 7),
        "likert_mental": full_sum(of(codes, "cf", range(8, 12)), 4),
        "bimodal_total": full_sum(of(bimodal, "cf", range(1, 12)), 11),
    }


def diary(codes: Codes) -> Results:
    return {"worst_fatigue": one(codes, "worst_fatigue")}


def diary_week(codes: Codes) -> Results:
    days = of(codes, "day", range(1, 8), 1)
    return {
        "weekly_mean": mean(days, 4),
        "weekly_worst": Fraction(max(days)) if len(days) >= 4 else TOO_FEW,
        "n_days": Fraction(len(days)) if days else TOO_FEW,
    }


# PROMIS


def t_tables() -> dict[str, dict[int, Fraction]]:
    """Form or domain -> raw sum -> T."""
    text = Path(__file__).with_name("promis_t_scores.txt").read_text("utf-8")
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    return {name: {int(low) + at: Fraction(t) for at, t in enumerate(ts)} for name, low, *ts in lines}


T_TABLES = t_tables()


def looked_up(raw: Result, table: str) -> Result:
    return raw if isinstance(raw, str) else T_TABLES[table][int(raw)]


def promis_fatigue(form: str, size: int, positive: Iterable[int] = ()) -> Callable[[Codes], Results]:
    """A short form: the sum of all items, those of positive wording turned, then the table."""

    def rule(codes: Codes) -> Results:
        raw = full_sum(of(turned(codes, "pf", positive, 6), "pf", range(1, size + 1)), size)
        return {"raw_sum": raw, "t_score": looked_up(raw, f"fatigue_{form}")}

    return rule


def promis29(codes: Codes) -> Results:
    """Seven domains of four in order; the codes on the form are the scored ones."""
    found: Results = {"pain_intensity": one(codes, "pr29")}
    domains = (
        "physical_function", "anxiety", "depression", "fatigue", "sleep_disturbance", "ability_to_participate",
        "pain_interference",
    )  # fmt: skip
    for at, domain in enumerate(domains):
        raw = full_sum(of(codes, "pr", range(4 * at + 1, 4 * at + 5)), 4)
        table = "fatigue_4a" if domain == "fatigue" else domain
        found |= {f"{domain}_raw": raw, f"{domain}_t": looked_up(raw, table)}
    return found


# Health and work


def pgi(item: str, scale: str) -> Callable[[Codes], Results]:
    return lambda codes: {scale: one(codes, item)}


def screener(prefix: str, size: int, bands: list[range]) -> Callable[[Codes], Results]:
    """PHQ-9 and GAD-7: the sum and the band it lies in."""

    def rule(codes: Codes) -> Results:
        total = full_sum(of(codes, prefix, range(1, size + 1)), size)
        if isinstance(total, str):
            return {"total": total, "severity_band": total}
        return {"total": total, "severity_band": Fraction([int(total) in band for band in bands].index(True))}

    return rule


PHQ9_BANDS = [range(5), range(5, 10), range(10, 15), range(15, 20), range(20, 28)]
GAD7_BANDS = [range(5), range(5, 10), range(10, 15), range(15, 22)]

FIVE_DOWN, FIVE_UP = (100, 75, 50, 25, 0), (0, 25, 50, 75, 100)
SIX_DOWN, SIX_UP = (100, 80, 60, 40, 20, 0), (0, 20, 40, 60, 80, 100)
RAND36_VALUES: dict[int, tuple[int, ...]] = (
    dict.fromkeys((1, 2, 20, 22, 34, 36), FIVE_DOWN)
    | dict.fromkeys(range(3, 13), (0, 50, 100))
    | dict.fromkeys(range(13, 20), (0, 100))
    | dict.fromkeys((21, 23, 26, 27, 30), SIX_DOWN)
    | dict.fromkeys((24, 25, 28, 29, 31), SIX_UP)
    | dict.fromkeys((32, 33, 35), FIVE_UP)
)
RAND36 = {
    "physical_functioning": range(3, 13),
    "role_physical": range(13, 17),
    "role_emotional": range(17, 20),
    "energy_fatigue": (23, 27, 29, 31),
    "emotional_wellbeing": (24, 25, 26, 28, 30),
    "social_functioning": (20, 32),
    "pain": (21, 22),
    "general_health": (1, 33, 34, 35, 36),
}


def rand36(codes: Codes) -> Results:
    """Code 1 has the first value of its row. One answer is enough."""
    values = {name: RAND36_VALUES[int(name[2:])][code - 1] for name, code in codes.items()}
    return {scale: mean(of(values, "rd", numbers), 1) for scale, numbers in RAND36.items()}


CHINA_DECREMENTS = {  # levels 2 to 5
    1: ("0.066", "0.158", "0.287", "0.345"),
    2: ("0.048", "0.116", "0.210", "0.253"),
    3: ("0.045", "0.107", "0.194", "0.233"),
    4: ("0.058", "0.138", "0.252", "0.302"),
    5: ("0.049", "0.118", "0.215", "0.258"),
}


def eq5d(codes: Codes) -> Results:
    names = [f"eq0{number}" for number in range(1, 6)]
    given = [codes[name] for name in names if name in codes]
    profile = Fraction("".join(str(codes.get(name, 9)) for name in names)) if given else TOO_FEW
    lost = [
        Fraction(("0", *CHINA_DECREMENTS[at])[codes[name] - 1])
        for at, name in enumerate(names, 1)
        if name in codes
    ]
    index: Result = 1 - sum(lost, Fraction(0)) if len(given) == 5 else TOO_FEW
    return {"profile": profile, "index_china": index, "vas": one(codes, "eq06")}


def wpai(codes: Codes) -> Results:
    """Item 1 unanswered keeps no score back; nobody is called unemployed who did not say so."""
    employed, missed, worked, effect = (codes.get(f"wp0{number}") for number in (1, 2, 4, 5))
    activity = one(codes, "wp06")
    work: Results = {
        "absenteeism": absenteeism(missed, worked),
        "presenteeism": presenteeism(worked, effect),
        "overall_work_impairment": overall(missed, worked, effect),
    }
    if employed == 0:
        work = dict.fromkeys(work, UNEMPLOYED)
    return work | {"activity_impairment": activity if isinstance(activity, str) else activity * 10}


def absenteeism(missed: int | None, worked: int | None) -> Result:
    if missed is None or worked is None:
        return TOO_FEW
    return Fraction(missed, missed + worked) * 100 if missed + worked else NO_HOURS


def presenteeism(worked: int | None, effect: int | None) -> Result:
    if worked == 0:
        return NOTHING_WORKED
    return TOO_FEW if effect is None else Fraction(effect, 10) * 100


def overall(missed: int | None, worked: int | None, effect: int | None) -> Result:
    share = absenteeism(missed, worked)
    if isinstance(share, str) or worked == 0:
        return share
    if effect is None:
        return TOO_FEW
    return share + (1 - share / 100) * Fraction(effect, 10) * 100


# PRO-CTCAE: symptoms and the attributes they have, in order


FSI = dict.fromkeys((22, 48, 49, 50, 51, 54, 55, 56), "FSI")
SI = dict.fromkeys((3, 39, 46, 47, 52, 53), "SI")
CTCAE_SYMPTOMS = FSI | SI | {27: "A"}  # presence items (24, 34, 79) have no grade

AMOUNT = (0, 1, 1, 2, 2)
SEVERITY_INTERFERENCE = ("11122", "11223", "12233", "22233")  # severity 1 to 4, in it interference 0 to 4
FREQUENCY_SEVERITY_INTERFERENCE = (  # frequency 1 to 4, in it severity 0 to 4, in it interference 0 to 4
    ("01122", "11122", "12223", "22233", "22333"),
    ("01122", "11122", "22233", "22233", "22333"),
    ("11122", "11122", "22233", "22333", "22333"),
    ("11122", "11223", "22233", "22333", "22333"),
)


def ctcae(codes: Codes) -> Results:
    return {f"{symptom}_composite": ctcae_grade(codes, symptom) for symptom in CTCAE_SYMPTOMS}


def ctcae_grade(codes: Codes, symptom: int) -> Result:
    """The next attribute is asked only if this one is above 0; one that is not asked counts as 0."""
    found: list[int] = []
    for letter in "abc"[: len(CTCAE_SYMPTOMS[symptom])]:
        code = codes.get(f"s{symptom:02d}{letter}")
        if code is None and found and found[-1] == 0:
            code = 0
        if code is None:
            return Fraction(0) if found and found[0] == 0 else TOO_FEW
        found.append(code)
    if found[0] == 0:
        return Fraction(0)
    if len(found) == 1:
        return Fraction(AMOUNT[found[0]])
    if len(found) == 2:
        return Fraction(SEVERITY_INTERFERENCE[found[0] - 1][found[1]])
    return Fraction(FREQUENCY_SEVERITY_INTERFERENCE[found[0] - 1][found[1]][found[2]])


RULES: dict[str, Callable[[Codes], Results]] = {
    "bfi": bfi,
    "chalder_cfq11": chalder,
    "eq5d5l": eq5d,
    "facit_fatigue": facit,
    "fatigue_diary": diary,
    "fatigue_diary_weekly": diary_week,
    "fss": fss,
    "gad7": screener("gad", 7, GAD7_BANDS),
    "lupus_impact_tracker": lupus_impact_tracker,
    "lupusqol": lupusqol,
    "mfi20": mfi,
    "pgi_c": pgi("pgic01", "change"),
    "pgi_s": pgi("pgis01", "severity"),
    "phq9": screener("phq", 9, PHQ9_BANDS),
    "pro_ctcae_sle": ctcae,
    "promis29": promis29,
    "promis_fatigue_4a": promis_fatigue("4a", 4),
    "promis_fatigue_6a": promis_fatigue("6a", 6),
    "promis_fatigue_7a": promis_fatigue("7a", 7, positive=[7]),
    "promis_fatigue_8a": promis_fatigue("8a", 8),
    "promis_fatigue_13a": promis_fatigue("13a", 13, positive=[7, 8]),
    "rand36": rand36,
    "wpai_lupus": wpai,
}
