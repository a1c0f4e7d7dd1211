"""A participant's calendar, for the calendar program of whoever has its link. The link is the key."""

from __future__ import annotations

from flask import Response, make_response, request

from epro.api.door import DOOR, Door, limiter
from epro.errors import NotFound
from epro.scheduling import calendar_links
from epro.tx import Actor, look

KEEP = "private, max-age=3600"
LONGEST = 64


def _no_lock() -> Actor:
    return DOOR  # the route itself asks for the link


calendars = Door("calendars", "/calendar", "Calendars, by their links", _no_lock, open_doors=("visits",))


def _unknown(response: Response) -> bool:
    return response.status_code == 404


@calendars.get("/<link>.ics")
@limiter.limit("20/minute;200/hour", deduct_when=_unknown)
@calendars.response(200, {"type": "string"}, content_type="text/calendar")
def visits(link: str) -> Response:
    """The windows of her visits on her own clock (iCalendar): neutral titles, no name, no study, no subject id."""
    with look(DOOR) as tx:
        found = calendar_links.fetch(tx, link) if len(link) <= LONGEST else None
    if found is None:
        raise NotFound()
    response = make_response(found)
    response.headers["Content-Type"] = "text/calendar; charset=utf-8"
    response.headers["Content-Disposition"] = "inline; filename=calendar.ics"
    response.headers["Cache-Control"] = KEEP
    response.add_etag()
    response.make_conditional(request)
    return response
