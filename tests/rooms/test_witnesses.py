"""The newest checkpoint goes by e-mail, once a day, to whoever can keep it out of our reach; and into the feed.

Threats S54 (the owner of the database rewrites), two histories for two readers.
"""

from __future__ import annotations

import importlib.util
from concurrent.futures import ThreadPoolExecutor

import sqlalchemy as sa

from epro import clock, worker
from epro.cli.trail import VERIFIER
from epro.notifications import letters, witnesses
from epro.signin.models import Staff, StaffLetter
from epro.trail import sealing
from epro.tx import begin, look, system
from tests.cast import at

TESTS = system("tests")


def post(when: str) -> int:
    with begin(TESTS, at(when)) as tx:
        return witnesses.post_due(tx)


def test_a_letter_a_day_to_each_witness_with_a_checkpoint_that_verifies(cast):
    assert post("2026-03-02T09:00") == 0  # nothing is sealed yet
    worker.seal(None, at("2026-03-02T09:30"))
    with look(TESTS) as tx:
        written = {str(one) for one in tx.all(sa.select(StaffLetter.staff_id))}
        newest, key = sealing.last(tx), sealing.public_key(tx)
    assert written == {cast.ids[name] for name in ("ines", "dana", "mona")}
    assert (post("2026-03-02T12:00"), post("2026-03-03T07:00"), post("2026-03-03T09:00")) == (0, 0, 3)
    with clock.moved_to(at("2026-03-02T12:01")):
        assert letters.send_due({"email": cast.email}, at("2026-03-02T12:01")) == 3
    spec = importlib.util.spec_from_file_location("verify_trail", VERIFIER)
    verifier = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(verifier)
    assert len(cast.email.taken) == 3
    for letter in cast.email.taken:
        assert newest.note in letter.text and key in letter.text and "diary" not in letter.text
        (found,) = verifier.checkpoints_in(letter.text)
        assert found.size == newest.size


def test_many_workers_write_one_letter(cast):
    worker.seal(None, at("2026-03-02T09:30"))

    def once(_: int) -> int:
        with cast.app.app_context():
            return post("2026-03-03T09:00")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(once, range(4)))
    with look(TESTS) as tx:
        assert (
            len(tx.all(sa.select(StaffLetter.id).where(StaffLetter.made_at >= at("2026-03-03T08:00")))) == 3
        )


def test_who_has_left_gets_none(cast):
    with begin(TESTS) as tx:
        tx.session.execute(sa.update(Staff).values(closed_at=tx.now))
        tx.session.info.clear()
    worker.seal(None, at("2026-03-02T09:30"))
    with look(TESTS) as tx:
        assert tx.all(sa.select(StaffLetter.id)) == []
