"""Enrolling somebody at a site, and the letter with which her phone becomes hers, in one act."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from flask import Response, g, request

from epro.api.door import actor
from epro.api.schemas import CHANNELS, ZONES, EnrolIn
from epro.console import numbers
from epro.console.door import act, page
from epro.console.page import asked, show
from epro.console.participants import show_letter
from epro.console.worklist import SITE_ROLES
from epro.errors import Invalid, NotFound
from epro.notifications import rules
from epro.responses.sight import knows_arms
from epro.scheduling import enrolling
from epro.scheduling.enrolling import Newcomer
from epro.scheduling.protocol import Protocol
from epro.signin import devices
from epro.studies import access, participants
from epro.studies.models import Site
from epro.tx import Tx, begin, look

ANCHOR, CONTACT = "anchor.", ("phone", "email", "name")
PLAIN = ("site", "subject_id", "language", "time_zone", "arm")


@page("/studies/<study_id>/enrolment", roles=SITE_ROLES, menu="enrolment.menu", order=15)
def enrolment(study_id: str) -> Response:
    """The form of an enrolment at one of her sites."""
    with look(actor()) as tx:
        sites = _sites(tx, study_id)
        wanted = request.args.get("site", "")
        site = next((one for one in sites if one.id == wanted), sites[0])
        _, protocol = enrolling.at_site(tx, study_id, site.id)
        g.zone = site.time_zone
        return show(
            "enrolment.html",
            site=site,
            sites=sites,
            protocol=protocol,
            anchors=[one for one in protocol.anchors if one.base is None and one.first_answer_of is None],
            arms=protocol.arms if knows_arms(actor(), protocol, study_id, site.id) else (),
            number=_next(protocol, site),
            channels=CHANNELS,
            usual=(*rules.USUAL_CHANNELS, rules.LAST_CHANNEL),
            today=tx.now.astimezone(ZoneInfo(site.time_zone)).date(),
            mainland=numbers.is_mainland(site.time_zone),
            zones=sorted(zone for zone in ZONES if "/" in zone and not zone.startswith(("Etc/", "SystemV/"))),
        )


@act("/studies/<study_id>/enrolment", roles=SITE_ROLES)
def enrol(study_id: str) -> Response:
    """Enrol her, and make the code of her first phone; sent twice, the second time is refused: her id is taken."""
    wanted = asked(EnrolIn, _filled(study_id))
    site_id = wanted.pop("site")
    with begin(actor()) as tx:
        if (there := tx.get(Site, study_id, site_id)) and "phone" in wanted.get("contact", {}):
            wanted["contact"]["phone"] = numbers.spelled(wanted["contact"]["phone"], there.time_zone)
        row = enrolling.enrol(tx, Newcomer(study_id=wanted.pop("study"), site_id=site_id, **wanted))
        text, code = devices.make_code(tx, row)
        site = tx.get(Site, study_id, site_id)
        _, protocol = enrolling.at_site(tx, study_id, site_id)
        return show_letter(row, site, text, code.expires_at, enrolling.doubts_of(tx, row), protocol.anchors)


def _filled(study_id: str) -> dict[str, Any]:
    """What the form says, in the shape that programs send it in."""
    form = {name: text.strip() for name, text in request.form.items() if text.strip()}
    contact = {name: form[name] for name in CONTACT if name in form}
    channels = _ways()
    return {
        "study": study_id,
        **{name: form[name] for name in PLAIN if name in form},
        "anchors": {name.removeprefix(ANCHOR): day for name, day in form.items() if name.startswith(ANCHOR)},
        **({"contact": contact} if contact else {}),
        **({"channels": channels} if channels else {}),
    }


def _ways() -> list[str]:
    """What she may be reminded by, where it is not left to the study. Raises Invalid for an agreement to nothing."""
    wanted, ticked = request.form.get("reminders"), request.form.getlist("channels")
    if wanted == "only" and not ticked:
        raise Invalid(errors=[{"pointer": "/channels", "code": "no_channel_ticked", "detail": ""}])
    return [] if wanted == "study" else ticked


def _sites(tx: Tx, study_id: str) -> list[Site]:
    """Where she may enrol somebody. Raises NotFound where she may nowhere."""
    found = access.sites(tx, "participant.enrol", study_id)
    if not found:
        raise NotFound()
    return found


def _next(protocol: Protocol, site: Site) -> str:
    """The site's next number; nothing where the study's subject ids look otherwise, and somebody must say it."""
    with look(enrolling.DOOR) as everybody:
        number = participants.next_subject_id(everybody, site)
    return number if enrolling.fits(protocol, number) else ""
