"""Signing in here is sealed: everybody comes by the identity provider, but for one account kept for emergencies.

SE-01  A right password or passkey of anybody else opens nothing, and is answered like a wrong one.
SE-02  Nobody else is sent a way back to a password, nor chooses one; an invitation still links an identity.
SE-03  The one account opens; that is in the trail, counted, and told to every administrator.
SE-04  Who came by the provider is let in as ever and raises no alarm.
SE-05  Production refuses a seal that would shut everybody out.
"""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from epro import clock, config
from epro.notifications.letters import wording
from epro.signin import letters, links
from epro.signin.models import StaffLetter
from epro.trail.models import Event
from epro.tx import begin, look
from tests.cast import PASSWORD
from tests.console.browser import Browser
from tests.fakes.authenticator import Authenticator
from tests.rooms.test_config import PRODUCTION
from tests.rooms.test_signin_factors import Person
from tests.rooms.test_signin_passkeys import SOON, make, show
from tests.rooms.test_signin_sso import (  # noqa: F401
    NOW,
    STRONG,
    TESTS,
    back,
    go,
    invitation,
    link,
    provider,
)

KEPT, OTHER, NEXT = "alma@example.org", "noor@example.org", "another long sentence of hers"


@pytest.fixture
def sealed(cast, provider):  # noqa: F811
    cast.app.config["EPRO"] |= {"LOCAL_SIGNIN": KEPT, "SECOND_FACTOR": "optional"}
    return provider


def signs_in(cast, email: str, password: str = PASSWORD) -> tuple[int, str]:
    answer = cast.app.test_client().post("/v1/staff/login", json={"email": email, "password": password})
    return answer.status_code, answer.get_json().get("code", "")


def alarms() -> tuple[int, list[str]]:
    """How often the trail tells of it, and who is written to."""
    with look(TESTS) as tx:
        used = len(tx.all(sa.select(Event).where(Event.action == "staff.break_glass")))
        told = sa.select(StaffLetter).where(StaffLetter.kind == "break_glass_used")
        return used, sorted(str(row.staff_id) for row in tx.all(told))


def test_one_account_opens_and_that_is_told(cast, sealed):
    assert signs_in(cast, OTHER) == signs_in(cast, OTHER, "a wrong one of hers") == (401, "sign_in_refused")
    assert alarms() == (0, [])
    assert signs_in(cast, KEPT) == (200, "")
    assert alarms() == (1, [cast.ids["alma"]])
    assert signs_in(cast, KEPT.upper())[0] == 200 and alarms()[0] == 2


def test_a_passkey_opens_that_account_only(cast, sealed):
    cast.app.config["EPRO"]["LOCAL_SIGNIN"] = "on"
    noor, device = Person(cast, OTHER), Authenticator("epro.test")
    cast.app.config["EPRO"]["SECOND_FACTOR"] = "required"
    noor.set_up()
    assert make(noor, device).status_code == 201
    cast.app.config["EPRO"]["LOCAL_SIGNIN"] = KEPT
    answer = show(noor, device)
    assert (answer.status_code, answer.get_json()["code"]) == (401, "sign_in_refused")
    cast.app.config["EPRO"]["LOCAL_SIGNIN"] = OTHER
    assert show(noor, device, when=SOON).status_code == 200 and alarms()[0] == 1


def test_nobody_else_finds_a_way_to_a_password(cast, sealed):
    for email in (OTHER, "nobody@example.org", KEPT):
        links.ask_recovery(email)
    with look(TESTS) as tx:
        sent = [str(row.staff_id) for row in tx.all(sa.select(StaffLetter)) if row.kind == "recovery"]
    assert sent == [cast.ids["alma"]]
    invited = invitation(cast)
    with pytest.raises(links.SignsInElsewhere):
        links.choose_password(invited, NEXT)
    with begin(TESTS) as tx:
        assert str(links.invited_to_link(tx, invited)) == cast.ids["noor"]  # it is not spent
        links.invite_again(tx, links.invited_to_link(tx, invited))
    with look(TESTS) as tx:
        kinds = [row.kind for row in tx.all(sa.select(StaffLetter)) if str(row.staff_id) == cast.ids["noor"]]
    assert kinds == ["invitation"]  # though she has a password from before
    links.choose_password(invitation(cast, "alma"), NEXT)
    assert signs_in(cast, KEPT, NEXT)[0] == 200


def test_who_comes_by_the_provider_raises_no_alarm(cast, sealed):
    assert link(cast, sealed)[1].status_code == 303
    browser = Browser(cast.app)
    assert back(browser, sealed.come_back(go(browser), **STRONG)).status_code == 303
    assert browser.get("/console/account").status_code == 200 and alarms() == (0, [])


def test_the_entrance_leads_to_the_provider_first(cast, sealed):
    with clock.moved_to(NOW):
        page = Browser(cast.app).get("/console/sign-in").text
        assert page.index("/console/sso?") < page.index("<details") < page.index('name="password"')
        refused = Browser(cast.app).send("/console/sign-in", email=OTHER, password=PASSWORD)
        assert refused.status_code == 401 and '<details class="act mt-3" open>' in refused.text
        cast.app.config["EPRO"]["LOCAL_SIGNIN"] = "on"
        page = Browser(cast.app).get("/console/sign-in").text
        assert page.index('name="password"') < page.index("/console/sso?") and 'class="act mt-3"' not in page


def test_the_letter_is_in_both_languages_and_names_nobody():
    for language in ("en", "zh-CN"):
        told = wording(language, "break_glass_used")
        assert told["text"].format_map({"app_name": "epro"}) and "break_glass_used" in letters.KINDS


SSO = {"EPRO_SSO_ISSUER": "https://idp.example.org", "EPRO_SSO_CLIENT_ID": "epro"}


@pytest.mark.parametrize(
    ("wanted", "more", "safe"),
    [
        ("on", {}, True),
        (KEPT, SSO, True),
        (KEPT, {}, False),
        ("off", SSO, False),
        ("alma", SSO, False),
    ],
)
def test_a_seal_that_shuts_everybody_out_is_refused(wanted, more, safe):
    found = config.refusals(config.read({**PRODUCTION, **more, "EPRO_LOCAL_SIGNIN": wanted}))
    assert (found == []) is safe
    assert safe or [reason.partition(" ")[0] for reason in found] == ["EPRO_LOCAL_SIGNIN"]
