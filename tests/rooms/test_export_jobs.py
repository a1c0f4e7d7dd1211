"""Exports that are asked for: made by a worker, whatever happens to it on the way, and fetched by who asked."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
import zlib
from datetime import date, timedelta

import pytest
import sqlalchemy as sa

from epro import clock, worker
from epro.cli.study import known_instruments
from epro.exporting import cuts, jobs, making, reading, serving
from epro.exporting.models import ExportJob
from epro.scheduling import amending, protocols
from epro.scheduling.reading import read
from epro.signin import machine_keys, staff
from epro.trail.models import Event
from epro.tx import Grant, begin, look, system
from tests.cast import STUDY, STUDY_FILE, at
from tests.export.test_dataset_json import faults_of
from tests.rooms.test_exports import answer_again, answered  # noqa: F401 - a fixture

TESTS = system("tests")
HOUR = "2026-03-02T21:00"


@pytest.fixture
def environ(environ, tmp_path):
    """With a folder for exports of this test alone."""
    return {**environ, "EPRO_EXPORT_DIR": str(tmp_path / "kept")}


@pytest.fixture
def call(cast):
    def call(method, path, body=None, who="machine", **headers):
        key = cast.ids["machine"] if who == "machine" else cast.staff(who).key
        client = cast.app.test_client()
        sent = {"Authorization": f"Bearer {key}", **headers}
        return client.open(path, method=method, json=body, headers=sent, buffered=True)

    return call


@pytest.fixture
def asked(cast, answered, call):  # noqa: F811
    """The machine has asked for CSV."""
    with cast.on(HOUR):
        answer = call("POST", "/v1/sponsor/exports", {"format": "csv"})
    assert (answer.status_code, answer.json["status"], answer.json["position"]) == (202, "waiting", 6)
    return answer.json["id"]


def status(call, id):
    return call("GET", f"/v1/sponsor/exports/{id}").json


def test_it_is_asked_for_made_and_fetched(cast, asked, call):
    path = f"/v1/sponsor/exports/{asked}/file"
    assert (call("GET", path).status_code, call("GET", path).json["code"]) == (409, "export_not_ready")
    assert worker.export() == 1 and worker.export() == 0
    told = status(call, asked)
    assert (told["status"], told["progress"], told["file"]) == ("done", 1.0, path)
    fetched = call("GET", path)
    assert fetched.headers["Content-Type"] == "application/zip" and len(fetched.data) == told["bytes"]
    with zipfile.ZipFile(io.BytesIO(fetched.data)) as archive:
        about = json.loads(archive.read("export.json"))
        assert (about["cut"]["position"], about["digest"]) == (6, told["digest"])


def test_its_place_is_fixed_when_it_is_asked_for(cast, asked, answered, call):  # noqa: F811
    answer_again(cast, answered[0])
    worker.export()
    assert status(call, asked)["position"] == 6


def test_only_who_asked_finds_it(cast, asked, call):
    worker.export()
    with cast.on(HOUR):
        for who, status in (("dana", 404), ("ines", 404), ("noor", 403), ("bo", 403)):
            for path in ("", "/file"):
                assert call("GET", f"/v1/sponsor/exports/{asked}{path}", who=who).status_code == status
    assert call("GET", "/v1/sponsor/exports/00000000-0000-4000-8000-000000000000").status_code == 404


@pytest.mark.parametrize("moment", ["before it wrote", "half way", "before it said so"])
def test_a_worker_that_dies_leaves_its_job_to_the_next(cast, asked, call, monkeypatch, moment):
    """Killed where nothing can be tidied up: the lease runs out, the next begins anew and comes to the same."""

    class Killed(BaseException):
        pass

    def die(*told, **more):
        raise Killed

    where = {
        "before it wrote": (making, "make"),
        "half way": (making.files, "told"),
        "before it said so": (jobs, "_packed"),
    }[moment]
    with cast.on("2026-03-02T22:00"), monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(*where, die)
        worker.export()
    with cast.on("2026-03-02T22:09"):
        assert worker.export() == 0  # the dead one's lease still holds
    with cast.on("2026-03-02T22:11"):
        assert worker.export() == 1
    told = status(call, asked)
    assert told["status"] == "done" and told["rows"] > 0
    assert not list((jobs.folder() / jobs.PARTS).iterdir())


def test_a_worker_whose_lease_ended_leaves_the_job_to_the_one_who_has_it(cast, asked, call, monkeypatch):
    """It was slow, not dead: what it made is not put in the place of the other's, nor does it take his away."""
    packed = jobs._packed

    def slow(hold, made):
        monkeypatch.setattr(jobs, "_packed", packed)
        with cast.on("2026-03-02T22:30"):
            assert worker.export() == 1
        return packed(hold, made)

    monkeypatch.setattr(jobs, "_packed", slow)
    with cast.on("2026-03-02T22:00"):
        worker.export()
    with look(TESTS) as tx:
        job = tx.get(ExportJob, jobs.UUID(asked))
    assert (job.tries, job.finished_at, job.fault) == (2, at("2026-03-02T22:30"), None)
    assert [path.name for path in jobs.folder().glob("*.zip")] == [f"{asked}.zip"]
    assert not list((jobs.folder() / jobs.PARTS).iterdir())


def test_a_large_file_is_packed_with_the_lease_renewed(cast, asked, monkeypatch):
    monkeypatch.setattr(jobs.files, "SIGN", 0x100000)
    signs = []
    renew = jobs.Hold.renew
    monkeypatch.setattr(jobs.Hold, "renew", lambda hold: (signs.append(1), renew(hold)))
    with cast.on(HOUR):
        worker.export()
    assert len(signs) > 2


def test_who_has_many_waiting_waits_and_others_do_not(cast, answered, call):  # noqa: F811
    with cast.on(HOUR):
        for _ in range(jobs.MOST_WAITING):
            assert call("POST", "/v1/sponsor/exports", {"format": "csv"}).status_code == 202
        refused = call("POST", "/v1/sponsor/exports", {"format": "csv"})
        assert (refused.status_code, refused.json["code"]) == (429, "too_many_exports")
        assert call("POST", "/v1/sponsor/exports", {"format": "csv"}, who="dana").status_code == 202
        worker.export()
        assert call("POST", "/v1/sponsor/exports", {"format": "csv"}).status_code == 202


def test_nobody_else_on_the_machine_reads_the_folder(cast, asked):
    assert jobs.folder().stat().st_mode & 0o777 == 0o700


def test_a_fault_is_tried_again_and_then_told(cast, asked, call, monkeypatch):
    def fails(*told, **more):
        raise ValueError("planted: 7")

    monkeypatch.setattr(making, "make", fails)
    for minute in range(6):
        with clock.moved_to(at(HOUR) + timedelta(minutes=minute)):
            worker.export()
    told = status(call, asked)
    assert (told["status"], told["fault"]) == ("failed", "tries")


def test_a_worker_told_to_stop_gives_the_job_back(cast, asked, call, monkeypatch):
    with cast.on(HOUR):
        stopping = iter([False, *[True] * 99])
        worker.export(lambda: next(stopping))
        assert status(call, asked)["status"] != "done"
    with clock.moved_to(at(HOUR) + timedelta(minutes=1)):
        worker.export()
    assert status(call, asked)["status"] == "done"


def test_a_job_that_is_given_back_again_and_again_is_made_at_last(cast, asked, call):
    """Workers that are told to stop say nothing about the job: it does not run out of tries."""
    for minute in range(5):
        with clock.moved_to(at(HOUR) + timedelta(minutes=minute)):
            stopping = iter([False, *[True] * 99])
            worker.export(lambda turns=stopping: next(turns))
    with clock.moved_to(at(HOUR) + timedelta(minutes=9)):
        worker.export()
    assert status(call, asked)["status"] == "done"


def test_who_may_see_less_by_now_does_not_fetch_what_was_made_before(cast, answered, call):  # noqa: F811
    """Another study's role does not keep the door open, and a narrower share is asked for anew."""
    dana, whole = staff_id(cast, "dana"), Grant(STUDY, "*", "data_manager")
    with cast.on(HOUR):
        job = call("POST", "/v1/sponsor/exports", {"format": "csv", "study": STUDY}, who="dana").json["id"]
        worker.export()
        paths = [f"/v1/sponsor/exports/{job}{end}" for end in ("", "/file")]
        assert [call("GET", path, who="dana").status_code for path in paths] == [200, 200]
        with begin(TESTS) as tx:
            staff.revoke(tx, dana, whole, "moved")
            staff.give(tx, dana, Grant(STUDY, "01", "data_manager"))
        assert [call("GET", path, who="dana").status_code for path in paths] == [200, 410]
        with begin(TESTS) as tx:
            staff.revoke(tx, dana, Grant(STUDY, "01", "data_manager"), "moved")
            staff.give(tx, dana, Grant("another", "*", "data_manager"))
        assert [call("GET", path, who="dana").status_code for path in paths] == [404, 404]


def staff_id(cast, name):
    with look(TESTS) as tx:
        return staff.by_email(tx, f"{name}@example.org").id


def test_whose_key_was_revoked_meanwhile_gets_nothing(cast, asked, call):
    with begin(TESTS) as tx:
        job = tx.get(ExportJob, jobs.UUID(asked))
        machine_keys.revoke(tx, jobs.UUID(job.asked_by.partition(":")[2]), "leaked")
    worker.export()
    with look(TESTS) as tx:
        job = tx.get(ExportJob, jobs.UUID(asked))
        assert (job.fault, job.made) == ("not_found", None)
        assert tx.one(sa.select(Event).where(Event.action == "export.made")) is None


def test_what_was_kept_long_enough_goes_and_can_be_had_again(cast, asked, call):
    with cast.on(HOUR):
        worker.export()
        first = status(call, asked)
    with cast.on("2026-03-10T21:00"):
        worker.export()
        told = status(call, asked)
        assert (told["status"], call("GET", f"/v1/sponsor/exports/{asked}/file").status_code) == (
            "removed",
            410,
        )
        assert list(jobs.folder().glob("*.zip")) == []
        again = call("POST", "/v1/sponsor/exports", {"format": "csv"}).json["id"]
        worker.export()
        assert status(call, again)["sha256"] == first["sha256"]  # nothing has come in meanwhile


def test_a_small_study_is_had_at_once(cast, answered, call):  # noqa: F811
    with begin(TESTS) as tx:
        cuts.make(tx, STUDY, "dmc")
    whole = call("GET", "/v1/sponsor/exports/parquet?cut=dmc")
    assert whole.status_code == 200 and zipfile.is_zipfile(io.BytesIO(whole.data))
    assert call("GET", "/v1/sponsor/exports/docx").json["code"] == "unknown_format"
    assert call("GET", "/v1/sponsor/exports/csv?cut=never").json["code"] == "unknown_cut"
    with cast.on(HOUR):
        own = call("GET", "/v1/sponsor/exports/csv", who="ines")
        with zipfile.ZipFile(io.BytesIO(own.data)) as archive:
            assert archive.read("long.csv").count(b"\r\n") == 5  # her site's two participants
        assert call("GET", "/v1/sponsor/exports/csv", who="noor").status_code == 403
        assert call("GET", "/v1/sponsor/exports/csv?unblinded=true", who="dana").status_code == 403


def test_the_dataset_json_interface_tells_a_study_page_by_page(cast, answered, call):  # noqa: F811
    with begin(TESTS) as tx:
        cuts.make(tx, STUDY, "dmc")
    root = "/cdisc/dataset-json"
    (study,) = call("GET", f"{root}/studies").json
    assert (study["studyOID"], [one["label"] for one in study["snapshots"]]) == (f"STDY.{STUDY}", ["dmc"])
    path = study["snapshots"][0]["href"].removeprefix("https://epro.test")
    listed = {one["name"]: one for one in call("GET", path).json["datasets"]}
    assert listed["QSFD"]["records"] == 6
    href = listed["QSFD"]["href"].removeprefix("https://epro.test")
    whole = call("GET", href)
    assert faults_of(whole.json) == [] and len(whole.json["rows"]) == 6
    head = call("GET", f"{href}?metadataonly=true").json
    assert "rows" not in head and head["records"] == 6
    pages = [call("GET", f"{href}?dataonly=true&offset={n}&limit=4").json for n in (0, 4, 8)]
    assert [len(page["rows"]) for page in pages] == [4, 2, 0] and set(pages[0]) == {"rows"}
    assert sum((page["rows"] for page in pages), []) == whole.json["rows"]
    packed = call("GET", href, **{"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(packed.data)) == whole.json
    since = whole.headers["Last-Modified"]
    assert call("GET", href, **{"If-Modified-Since": since}).status_code == 304
    assert call("GET", href, **{"If-Modified-Since": "Sun, 01 Mar 2026 00:00:00 GMT"}).status_code == 200
    assert zlib.adler32(call("GET", href).data) == zlib.adler32(whole.data)


def test_the_interface_refuses_as_it_says(cast, answered, call):  # noqa: F811
    root, study = "/cdisc/dataset-json", f"STDY.{STUDY}"
    for path in ("/studies/STDY.other", f"/studies/{study}/datasets/IG.NONE", f"/studies/{study}/snapshots/no",
                 f"/studies/{study}/datasets/..%2F..", f"/studies/{study}/defines/no"):  # fmt: skip
        assert call("GET", root + path).status_code == 404, path
    assert call("GET", f"{root}/studies/{study}/datasets/IG.QSFD?offset=-1").status_code == 422
    assert call("GET", f"{root}/studies/{study}/datasets/IG.QSFD?limit=x").status_code == 422
    for method, path in (
        ("POST", "/studies"),
        ("DELETE", f"/studies/{study}"),
        ("PATCH", f"/studies/{study}/datasets/IG.QSFD"),
    ):
        assert call(method, root + path, {}).status_code == 501
    with cast.on(HOUR):
        assert call("GET", f"{root}/studies", who="noor").status_code == 403
        (own,) = call("GET", f"{root}/studies", who="ines").json
        listed = call("GET", f"{root}/studies/{study}/datasets", who="ines").json
        assert {one["name"]: one["records"] for one in listed}["QSFD"] == 4
    by_header = cast.app.test_client().get(f"{root}/studies", headers={"api-key": cast.ids["machine"]})
    assert by_header.status_code == 200
    assert cast.app.test_client().get(f"{root}/studies", headers={"api-key": "epk_x_y"}).status_code == 401
    assert "defineXML" in call("GET", f"{root}/studies/{study}/defines/define").json
    for path in ("defines/define", "datasets"):
        assert call("GET", f"{root}/studies/{study}/{path}?unblinded=true").status_code == 200
        with cast.on(HOUR):
            assert call("GET", f"{root}/studies/{study}/{path}?unblinded=true", who="ines").status_code == 403
    assert call("GET", f"{root}/about").json["links"]


def test_what_is_served_now_is_made_anew_seldom_and_pages_fit(cast, answered, call):  # noqa: F811
    path = f"/cdisc/dataset-json/studies/STDY.{STUDY}/datasets/IG.QSFD?metadataonly=true"
    with cast.on("2026-03-03T19:58"):
        assert call("GET", path).json["records"] == 6
    answer_again(cast, answered[0])
    with cast.on("2026-03-03T20:01"):
        assert call("GET", path).json["records"] == 6
    with cast.on("2026-03-03T20:04"):
        page = path.replace("metadataonly=true", "limit=2&offset=")
        assert (
            call("GET", f"{page}4").json["records"] == 6
        )  # who is in the middle of it goes on with what she began
        assert call("GET", f"{page}0").json["records"] == 8
    with look(TESTS) as tx:
        count = sa.select(sa.func.count()).where(Event.action == "export.made")
        assert tx.session.scalar(count) == 2


def test_one_reader_at_a_time_has_datasets_made(cast, answered, call):  # noqa: F811
    path = f"/cdisc/dataset-json/studies/STDY.{STUDY}/datasets/IG.QSFD?metadataonly=true"
    with cast.on("2026-03-03T19:58"):
        with serving.AT_ONCE:
            assert call("GET", path).status_code == 503
        assert call("GET", path).json["records"] == 6
        with serving.AT_ONCE:  # what is there already is read by as many as like
            assert call("GET", path).json["records"] == 6


def test_hidden_scores_are_in_no_export(cast, answered, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr(reading.sight, "hides_scores", lambda *told: True)
    from tests.rooms.test_exports import exported, person

    made = exported(person("data_manager"), tmp_path / "out")
    assert made.folder.at("long.csv").read_bytes().count(b"\r\n") == 1
    wide = made.folder.at("wide_fatigue_diary.csv").read_text().splitlines()
    assert len(wide) == 4 and all(line.endswith(",,,") for line in wide[1:])


def test_what_the_version_of_a_site_hides_is_in_no_export(cast, answered, tmp_path):  # noqa: F811
    """Site 01 follows a version that hides scores from data managers; the study began with one that does not."""
    from tests.rooms.test_exports import exported, long, person

    text = STUDY_FILE.read_text(encoding="utf-8").replace('version: "1.0"', 'version: "2.0"', 1)
    text = text.replace("anchors:\n", "blinding: {hide_scores_from: [data_manager]}\nanchors:\n", 1)
    protocol, faults = read(text, known_instruments())
    assert protocol is not None, faults
    before = long(exported(person("data_manager"), tmp_path / "before"))
    with cast.on(HOUR) as now, begin(TESTS, now) as tx:
        protocols.publish(tx, protocol, text)
        amending.approve(tx, STUDY, "2.0", "01", date(2026, 3, 2))
    with cast.on("2026-03-04T21:00"):
        after = long(exported(person("data_manager"), tmp_path / "after"))
        assert long(exported(TESTS, tmp_path / "whole")).height == 6
    assert (set(before["SITEID"]), set(after["SITEID"])) == ({1, 2}, {2})
