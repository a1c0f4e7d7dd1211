"""What the clockwork does with one occurrence, and when it looks again.

Ada's diary of 2 March 2026 opens at 18:00 and closes at 24:00 in London (UTC). It reminds an hour after the opening
(19:00) and two hours before the closing (22:00), is at risk three hours before the closing (21:00), and
is missed at noon of 3 March. Hours below are of 2 March, or with a + of 3 March.

AT-01  A reminder is sent from its moment until two hours later, never after the closing.
AT-02  A reminder too late for that is passed over with the reason, and counts as handled.
AT-03  However late the clockwork comes, everything due comes out in one go and in order; a miss is never dropped.
AT-04  What is answered, excused, cancelled or missed needs no attention.
AT-05  Nobody is reminded twice at one look.
AT-06  The participant's own hour takes the place of the first reminder's, if it lies in the window.
AT-07  When she puts reminders off, one comes at the end, in the place of those before it; those after it stay.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epro.scheduling.attention import (
    STALE,
    AtRisk,
    DropSnooze,
    Miss,
    Remind,
    RemindAfterSnooze,
    SkipReminder,
    due_steps,
    moments,
    next_attention,
)
from epro.scheduling.protocol import Assessment, InstrumentRef, OnMiss, Reminder, Window

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)

DIARY = Assessment(
    id="diary",
    label={"en": "Diary"},
    instrument=InstrumentRef("fatigue_diary", "1.0"),
    at=(),
    every=None,
    window=Window(18 * 60, 24 * 60),
    sync_grace=12 * HOUR,
    reminders=(Reminder(before_closing=2 * HOUR), Reminder(after_opening=HOUR)),  # not in the order of time
    at_risk=3 * HOUR,
    on_miss=OnMiss(),
)


def at(hour: str) -> datetime:
    day = datetime(2026, 3, 3 if hour.startswith("+") else 2, tzinfo=UTC)
    hours, minutes = hour.lstrip("+").split(":")
    return day + timedelta(hours=int(hours), minutes=int(minutes))


def ada(opens: str = "18:00", closes: str = "24:00", done: int = 0, **facts) -> SimpleNamespace:
    blank = dict.fromkeys(
        ("fulfilled_at", "excused_at", "cancelled_at", "missed_at", "at_risk_at", "snoozed_until")
    )
    return SimpleNamespace(opens_at=at(opens), closes_at=at(closes), reminders_done=done, **blank | facts)


def remind(index: int, due: str, expires: str) -> Remind:
    return Remind(index, at(due), at(expires))


def skip(index: int, reason: str) -> SkipReminder:
    return SkipReminder(index, reason)


@pytest.mark.parametrize(
    ("now", "done", "steps"),
    [
        ("17:00", 0, []),
        ("18:59", 0, []),
        ("19:00", 0, [remind(0, "19:00", "21:00")]),
        ("19:00", 1, []),
        ("20:59", 0, [remind(0, "19:00", "21:00")]),
        ("21:00", 0, [remind(0, "19:00", "21:00"), AtRisk()]),  # AT-01: two hours late is not too late
        ("21:01", 0, [skip(0, "stale"), AtRisk()]),  # AT-02
        ("21:00", 1, [AtRisk()]),
        ("22:00", 1, [AtRisk(), remind(1, "22:00", "24:00")]),  # AT-03: at risk came first
        ("23:59", 0, [skip(0, "stale"), AtRisk(), remind(1, "22:00", "24:00")]),
        ("24:00", 0, [skip(0, "window_closed"), skip(1, "window_closed")]),  # too late to warn
        ("24:00", 2, []),
        ("+11:59", 2, []),
        ("+12:00", 2, [Miss()]),
        ("+12:00", 0, [skip(0, "window_closed"), skip(1, "window_closed"), Miss()]),
        ("+999:00", 1, [skip(1, "window_closed"), Miss()]),  # AT-03: after weeks
    ],
)
def test_due_steps(now, done, steps):
    assert due_steps(ada(done=done), DIARY, at(now)) == steps


def test_a_warning_is_given_once():
    assert due_steps(ada(done=1, at_risk_at=at("21:00")), DIARY, at("21:30")) == []


def over(due: str, expires: str) -> RemindAfterSnooze:
    return RemindAfterSnooze(at(due), at(expires))


@pytest.mark.parametrize(
    ("until", "now", "done", "steps"),
    [
        ("19:30", "19:00", 0, [skip(0, "snoozed")]),
        ("19:30", "19:29", 1, []),
        ("19:30", "19:30", 1, [over("19:30", "21:30")]),
        ("19:30", "19:30", 0, [skip(0, "snoozed"), over("19:30", "21:30")]),
        ("18:30", "19:00", 0, [DropSnooze("replaced"), remind(0, "19:00", "21:00")]),  # the later one is sent
        (
            "19:00",
            "19:00",
            0,
            [skip(0, "replaced"), over("19:00", "21:00")],
        ),  # one of two at one moment
        ("22:30", "22:30", 1, [AtRisk(), skip(1, "snoozed"), over("22:30", "24:00")]),
        ("19:30", "21:31", 1, [DropSnooze("stale"), AtRisk()]),
        ("19:30", "24:00", 2, [DropSnooze("window_closed")]),
        ("19:30", "+12:00", 2, [DropSnooze("window_closed"), Miss()]),
    ],
)
def test_a_snooze(until, now, done, steps):  # AT-07
    assert due_steps(ada(done=done, snoozed_until=at(until)), DIARY, at(now)) == steps


def test_the_clockwork_looks_again_at_the_end_of_a_snooze():
    assert next_attention(ada(done=1, snoozed_until=at("19:30")), DIARY, at("19:10")) == at("19:30")


@pytest.mark.parametrize("fact", ["fulfilled_at", "excused_at", "cancelled_at", "missed_at"])
@pytest.mark.parametrize("now", ["12:00", "19:00", "23:00", "+13:00"])
def test_what_is_settled_needs_no_attention(fact, now):  # AT-04
    settled = ada(**{fact: at("18:30")})
    assert due_steps(settled, DIARY, at(now)) == []
    assert next_attention(settled, DIARY, at(now)) is None


@pytest.mark.parametrize(
    ("now", "done", "risk", "looks"),
    [
        ("12:00", 0, None, "19:00"),
        ("19:00", 1, None, "21:00"),
        ("21:00", 1, "21:00", "22:00"),
        ("22:00", 2, "21:00", "24:00"),
        ("24:00", 2, "21:00", "+12:00"),
        ("24:00", 2, None, "+12:00"),  # the warning that nobody gave does not come back
        ("20:00", 0, None, "19:00"),  # not handled: look at once
        ("+12:00", 2, None, "+12:00"),
    ],
)
def test_when_to_look_again(now, done, risk, looks):
    occurrence = ada(done=done, at_risk_at=risk and at(risk))
    assert next_attention(occurrence, DIARY, at(now)) == at(looks)


def test_moments_are_in_order():
    assert [(look.at, look.kind) for look in moments(ada(), DIARY)] == [
        (at("19:00"), "reminder"),
        (at("21:00"), "at_risk"),
        (at("22:00"), "reminder"),
        (at("24:00"), "closes"),
        (at("+12:00"), "grace_over"),
    ]


def test_an_assessment_that_only_closes():
    plain = replace(DIARY, reminders=(), at_risk=None)
    assert [look.kind for look in moments(ada(), plain)] == ["closes", "grace_over"]
    assert due_steps(ada(), plain, at("23:00")) == []
    assert next_attention(ada(), plain, at("23:00")) == at("24:00")


def test_two_reminders_due_at_one_look_are_one_message():  # AT-05
    eager = replace(DIARY, reminders=(Reminder(after_opening=HOUR), Reminder(after_opening=90 * MINUTE)))
    assert due_steps(ada(), eager, at("20:00")) == [skip(0, "replaced"), remind(1, "19:30", "21:30")]


# Short windows: a clock change or a flight has left less than the study file reckoned with.


def test_in_a_short_window_early_moments_move_to_the_opening_and_late_ones_are_passed_over():
    short = ada("22:30", "23:30")  # 22:30 + 1h is the closing; 23:30 - 2h and - 3h lie before the opening
    assert due_steps(short, DIARY, at("22:30")) == [remind(0, "22:30", "23:30"), AtRisk()]
    assert due_steps(replace_done(short, 1), DIARY, at("23:30")) == [skip(1, "outside_window")]
    assert [look.at for look in moments(short, DIARY)] == [
        at("22:30"),
        at("22:30"),
        at("23:30"),
        at("+11:30"),
    ]


def test_two_reminders_moved_to_the_opening_are_one_message():
    both = replace(DIARY, reminders=(Reminder(before_closing=2 * HOUR), Reminder(before_closing=3 * HOUR)))
    short = ada("23:00", "24:00")
    assert due_steps(short, both, at("23:00")) == [remind(0, "23:00", "24:00"), skip(1, "replaced"), AtRisk()]


def replace_done(occurrence: SimpleNamespace, done: int) -> SimpleNamespace:
    return SimpleNamespace(**vars(occurrence) | {"reminders_done": done, "at_risk_at": occurrence.opens_at})


# AT-06: the participant's own hour.


@pytest.mark.parametrize(
    ("wish", "zone", "due"),
    [
        ("20:15", "Europe/London", ["20:15", "22:00"]),
        ("18:00", "Europe/London", ["18:00", "22:00"]),
        ("17:59", "Europe/London", ["19:00", "22:00"]),  # before the opening: not hers to choose
        ("00:00", "Europe/London", ["19:00", "22:00"]),  # at the closing
        ("22:00", "Europe/London", ["22:00"]),  # the second would come at the same moment
        ("23:00", "Europe/London", ["23:00"]),  # or before it
        ("21:15", "Europe/Berlin", ["20:15", "22:00"]),
        ("04:15", "Asia/Shanghai", ["20:15", "22:00"]),  # past midnight where she is, the same window
        ("00:30", "Europe/Moscow", ["21:30", "22:00"]),  # the first would come at 22:00 there, the day before
    ],
)
def test_the_participants_own_hour(wish, zone, due):
    wishes = {"first_reminder_at": time.fromisoformat(wish), "zone": zone}
    looks = moments(ada(), DIARY, **wishes)
    assert [look.at for look in looks if look.kind == "reminder"] == [at(hour) for hour in due]
    risk = ada(at_risk_at=at("21:00"))
    assert next_attention(risk, DIARY, at("18:00"), **wishes) == at(due[0])
    assert due_steps(risk, DIARY, at(due[0]), **wishes)[0] == Remind(
        0, at(due[0]), min(at(due[0]) + STALE, at("24:00"))
    )


def test_the_own_hour_keeps_to_the_day_of_the_first_reminder():
    """A window of days that reminds after two of them does not remind on the first for her wish."""
    weekly = replace(DIARY, reminders=(Reminder(after_opening=48 * HOUR),), at_risk=None)
    window = ada("08:00", "+200:00")
    looks = moments(window, weekly, first_reminder_at=time(20), zone="Europe/London")
    assert looks[0].at == at("08:00") + 60 * HOUR


def test_a_wish_without_a_zone_is_none():
    assert moments(ada(), DIARY, first_reminder_at=time(20)) == moments(ada(), DIARY)


# Whatever the clockwork does, and whenever it comes.

lengths = st.integers(0, 3 * 24 * 60).map(lambda minutes: minutes * MINUTE)
reminder = st.one_of(st.builds(Reminder, after_opening=lengths), st.builds(Reminder, before_closing=lengths))
assessments = st.builds(
    replace,
    st.just(DIARY),
    reminders=st.lists(reminder, max_size=5).map(tuple),
    at_risk=st.one_of(st.none(), lengths.filter(bool)),
    sync_grace=lengths,
)
wishes = st.one_of(st.none(), st.times().map(lambda hour: hour.replace(microsecond=0)))


def live(assessment, length, ticks, wish, snoozes=()):
    """Look at one window at each tick that is due, do what is said, and keep a diary of it.

    `snoozes`: (when, for how long); each is put in at the first tick from then on, while the window is open.
    """
    row, done, waiting = ada(), [], sorted(snoozes)
    row.closes_at = row.opens_at + length
    options = {"first_reminder_at": wish, "zone": "Europe/London"}
    for now in ticks:
        while waiting and waiting[0][0] <= now:
            _, snooze = waiting.pop(0)
            if row.opens_at <= now and now + snooze < row.closes_at and not row.missed_at:
                row.snoozed_until = now + snooze
                done.append((now, "snoozed"))
        look = next_attention(row, assessment, now, **options)
        if look is None or look > now:
            assert due_steps(row, assessment, now, **options) == []
            continue
        steps = due_steps(row, assessment, now, **options)
        assert steps  # no look in vain
        for step in steps:
            done.append((now, step))
            if isinstance(step, AtRisk):
                row.at_risk_at = now
            elif isinstance(step, Miss):
                row.missed_at = now
            elif isinstance(step, RemindAfterSnooze | DropSnooze):
                row.snoozed_until = None
            else:
                assert step.index == row.reminders_done
                row.reminders_done += 1
        assert (next_attention(row, assessment, now, **options) or now + MINUTE) > now  # and no look for ever
    return row, done


@settings(max_examples=300, deadline=None)
@given(
    assessments,
    st.integers(1, 3 * 24 * 60).map(lambda minutes: minutes * MINUTE),
    st.lists(st.integers(-100, 10000), max_size=60).map(sorted),
    wishes,
)
def test_a_clockwork_of_any_pace(assessment, length, ticks, wish):
    times = [at("18:00") + tick * MINUTE for tick in ticks] + [at("18:00") + timedelta(days=9)]
    row, done = live(assessment, length, times, wish)
    assert row.missed_at == times[-1] or row.missed_at in times
    assert [step for _, step in done].count(Miss()) == 1
    assert isinstance(done[-1][1], Miss)
    assert row.reminders_done == len(assessment.reminders)  # each handled exactly once
    sent = [(now, step) for now, step in done if isinstance(step, Remind)]
    assert all(step.due_at <= now <= step.due_at + STALE and now < row.closes_at for now, step in sent)
    assert all(row.opens_at <= step.due_at and step.expires_at <= row.closes_at for _, step in sent)
    assert len({now for now, _ in sent}) == len(sent)  # never two at one look
    assert all(row.opens_at <= now < row.closes_at for now, step in done if step == AtRisk())


@settings(max_examples=200, deadline=None)
@given(assessments, st.integers(1, 3 * 24 * 60).map(lambda minutes: minutes * MINUTE), wishes)
def test_a_clockwork_that_comes_when_it_is_told_misses_nothing(assessment, length, wish):
    row = ada()
    row.closes_at = row.opens_at + length
    looks = moments(row, assessment, first_reminder_at=wish, zone="Europe/London")
    assert looks == sorted(looks, key=lambda look: look.at)
    _, done = live(assessment, length, sorted({look.at for look in looks}), wish)
    reminded = [step.due_at for _, step in done if isinstance(step, Remind)]
    assert reminded == [look.at for look in looks if look.kind == "reminder"]
    assert any(step == AtRisk() for _, step in done) == (assessment.at_risk is not None)


@settings(max_examples=200, deadline=None)
@given(
    assessments,
    st.integers(30, 3 * 24 * 60).map(lambda minutes: minutes * MINUTE),
    st.lists(st.integers(0, 5000), max_size=60).map(sorted),
    st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 120)), max_size=6),
)
def test_a_snooze_never_doubles_a_reminder(assessment, length, ticks, snoozes):  # AT-07
    times = [at("18:00") + tick * MINUTE for tick in ticks] + [at("18:00") + timedelta(days=9)]
    asked = [(at("18:00") + minute * MINUTE, lasts * MINUTE) for minute, lasts in snoozes]
    row, done = live(assessment, length, times, None, asked)
    assert row.reminders_done == len(assessment.reminders) and row.snoozed_until is None
    sent = [now for now, step in done if isinstance(step, Remind | RemindAfterSnooze)]
    assert len(set(sent)) == len(sent)  # never two at one look
    again = [step for _, step in done if isinstance(step, RemindAfterSnooze | DropSnooze)]
    assert len(again) <= [step for _, step in done].count("snoozed")
