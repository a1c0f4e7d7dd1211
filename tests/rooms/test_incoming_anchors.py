"""Days that the EDC hands in: taken once, previewed, re-planned, and never over what a site has said since."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from epro import clock
from epro.cli import epro
from epro.scheduling import occurrences
from epro.signin import machine_keys
from epro.studies.models import Participant
from epro.tx import begin, look, system
from tests.cast import STUDY, at

TODAY = "2026-03-04T10:00"


@pytest.fixture
def ada(cast):
    with cast.on("2026-03-02T09:00"):
        return cast.phone().subject_id


@pytest.fixture
def edc(cast):
    """Calls the EDC's door with a key of its own."""
    with clock.moved_to(at("2026-03-01T09:30")), begin(system("tests")) as tx:
        key = machine_keys.add(tx, STUDY, "the EDC", 30, "edc")[1]

    def hand_in(*days, query="", key=key, expected=200):
        with clock.moved_to(at(TODAY)):
            answer = cast.app.test_client().post(
                f"/v1/edc/anchors{query}",
                json={"anchors": list(days)},
                headers={"Authorization": f"Bearer {key}"},
            )
        assert answer.status_code == expected, answer.text
        return answer.get_json()

    return hand_in


def day(subject_id, date, anchor="infusion", **more):
    return {"subject_id": subject_id, "anchor": anchor, "date": date, **more}


def planned(subject_id):
    with look(system("tests")) as tx:
        she = tx.get(Participant, STUDY, subject_id)
        return {(row.assessment_id, row.local_day) for row in occurrences.of(tx, she) if not row.cancelled_at}


def test_a_first_dose_from_the_edc_plans_what_hangs_on_it(cast, ada, edc):
    before = planned(ada)
    shown = edc(day(ada, "2026-03-05"), query="?preview=true")
    assert shown["preview"] is True and planned(ada) == before
    done = edc(day(ada, "2026-03-05"))
    assert [one["outcome"] for one in done["results"]] == ["set"]
    assert done["results"][0]["plan"] == shown["results"][0]["plan"]
    assert len(planned(ada) - before) == done["results"][0]["plan"]["new"] > 0


def test_sent_again_it_changes_nothing_and_another_day_moves_it(cast, ada, edc):
    edc(day(ada, "2026-03-05"))
    as_it_was = planned(ada)
    again = edc(day(ada, "2026-03-05"))
    assert again["counts"] == {"unchanged": 1} and planned(ada) == as_it_was
    moved = edc(day(ada, "2026-03-06", reason="entered wrongly"))["results"][0]
    assert (moved["outcome"], moved["before"]) == ("moved", "2026-03-05")
    with cast.on(TODAY):
        rows = cast.staff("noor").timeline(ada)["anchors"]
    assert [(one["date"], one["reason"]) for one in rows if one["anchor"] == "infusion"] == [
        ("2026-03-05", "given by the trial's EDC system"),
        ("2026-03-06", "entered wrongly"),
    ]
    assert rows[-1]["set_by"].startswith("key:")


def test_what_a_site_has_said_since_stays(cast, ada, edc):
    edc(day(ada, "2026-03-05"))
    with cast.on("2026-03-04T11:00"):
        cast.staff("noor").must(
            "POST",
            f"/v1/site/participants/{ada}/anchors",
            {"anchor": "infusion", "date": "2026-03-07", "reason": "put off"},
        )
    kept = edc(day(ada, "2026-03-05"))["results"][0]
    assert (kept["outcome"], kept["before"]) == ("kept", "2026-03-07")
    newer = edc(day(ada, "2026-03-08"))["results"][0]
    assert (newer["outcome"], newer["before"]) == ("moved", "2026-03-07")


def test_one_that_cannot_be_taken_stops_no_other(cast, ada, edc):
    told = edc(
        day("nobody", "2026-03-05"),
        day(ada, "2026-03-05", anchor="no such"),
        day(ada, "2026-03-05"),
    )
    assert [(one["outcome"], one.get("code")) for one in told["results"]] == [
        ("refused", "not_found"),
        ("refused", "unknown_anchor"),
        ("set", None),
    ]
    assert told["counts"] == {"refused": 2, "set": 1}


def test_a_withdrawn_participant_is_left_alone(cast, ada, edc):
    with cast.on("2026-03-03T09:00"):
        cast.staff("noor").must("POST", f"/v1/site/participants/{ada}/withdrawal", {"reason": "her wish"})
    assert edc(day(ada, "2026-03-05"))["results"][0]["code"] == "already_withdrawn"


def test_bad_bodies_are_named_by_their_place(edc):
    told = edc(day("a", "2026-13-05"), {"anchor": "infusion", "more": 1}, expected=422)
    assert {one["pointer"] for one in told["errors"]} == {
        "/anchors/0/date",
        "/anchors/1/subject_id",
        "/anchors/1/date",
        "/anchors/1/more",
    }
    assert edc(expected=422)["errors"][0]["pointer"] == "/anchors"


def test_its_key_reads_nothing_and_the_feeds_key_hands_nothing_in(cast, ada, edc):
    with clock.moved_to(at(TODAY)), begin(system("tests")) as tx:
        own = machine_keys.add(tx, STUDY, "the EDC", 30, "edc")[1]
    client, headers = cast.app.test_client(), {"Authorization": f"Bearer {own}"}
    with clock.moved_to(at(TODAY)):
        assert client.get("/v1/sponsor/feed", headers=headers).status_code == 403
        assert client.get("/v1/site/participants", headers=headers).status_code == 401
    edc(day(ada, "2026-03-05"), key=cast.ids["machine"], expected=401)


def test_another_study_is_not_there(edc):
    assert edc(day("a", "2026-03-05"), query="?study=other", expected=404)["code"] == "not_found"


@pytest.fixture
def command(app, environ, tmp_path):
    def run(text, *more, name="days.csv"):
        file = tmp_path / name
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        with clock.moved_to(at(TODAY)):
            return CliRunner().invoke(
                epro, ["anchors", "import", str(file), "--study", STUDY, *more], env=environ
            )

    return run


def test_the_file_is_shown_first_then_taken(cast, ada, command):
    text = f"\ufeffsubject_id,anchor,date,site\r\n{ada},infusion,2026-03-05,01\r\n"
    before = planned(ada)
    shown = command(text, "--dry-run")
    assert shown.exit_code == 0 and "dry run: nothing is set" in shown.output and planned(ada) == before
    done = command(text)
    assert done.exit_code == 0 and f"{ada} infusion: set to 2026-03-05" in done.output
    assert planned(ada) > before
    assert command(text).output == "1 lines: 1 unchanged\n"


def test_every_bad_line_is_named_and_the_good_ones_count(cast, ada, command):
    text = (
        "subject_id,anchor,date\n"
        f"{ada},infusion,05/03/2026\n"
        f"{ada},,2026-03-05\n"
        f"{ada},infusion,20260305\n"
        "nobody,infusion,2026-03-05\n"
        f"{ada},infusion,2026-03-05\n"
    )
    told = command(text)
    assert told.exit_code == 1
    assert [line.split(":")[0] for line in told.stderr.splitlines()] == [
        "line 2",
        "line 3",
        "line 4",
        "line 5",
    ]
    assert "5 lines: 4 refused, 1 set" in told.output


def test_a_day_moved_past_answers_is_warned_of_and_asked_for(cast, command, edc):
    with cast.on("2026-03-02T09:00"):
        phone = cast.phone(anchors={"enrolment": "2026-03-02", "infusion": "2026-03-02"}, contact={})
    with cast.on("2026-03-02T20:00") as now:
        phone.answer(phone.open_at(now)[0], {"worst_fatigue": 3}, now, now)
        phone.upload(now)
    ada, said = phone.subject_id, "1 answer given since 2026-03-02 would lie before 2026-03-20."
    assert "warning" not in edc(day(ada, "2026-03-01"), query="?preview=true")["results"][0]
    assert edc(day(ada, "2026-03-20"), query="?preview=true")["results"][0]["warning"] == said
    path = f"/v1/site/participants/{ada}/anchors?preview=true"
    with cast.on("2026-03-02T21:00"):
        wish = {"anchor": "infusion", "date": "2026-03-20", "reason": "she came later"}
        assert cast.staff("noor").must("POST", path, wish)["warning"] == said
        assert "warning" not in cast.staff("noor").must("POST", path, {**wish, "date": "2026-03-01"})
    text = f"subject_id,anchor,date\n{ada},infusion,2026-03-20\n"
    shown = command(text, "--dry-run")
    assert shown.exit_code == 0 and said in shown.stderr and "--accept-answered" in shown.stderr
    refused = command(text)
    assert (
        refused.exit_code == 1
        and f"{said} If that is meant: --accept-answered. [answered_behind]" in refused.stderr
    )
    done = command(text, "--accept-answered")
    assert done.exit_code == 0 and "moved from 2026-03-02 to 2026-03-20" in done.output


@pytest.mark.parametrize(
    "text", ["subject,day\nx,y\n", "", b"\xff\xfe\x00", 'subject_id,anchor,date\n"x,y\n']
)
def test_what_is_no_such_file_is_told_in_a_line(app, command, text):
    told = command(text)
    assert isinstance(told.exception, SystemExit) and told.exit_code == 1
    assert told.stderr.startswith("Error: ") and len(told.stderr.splitlines()) == 1
    assert json.dumps(told.output)
