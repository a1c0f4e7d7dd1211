"""Signing in at the identity provider of one's organisation, and coming back from there."""

from __future__ import annotations

from typing import Any

from flask import Response, redirect, request

from epro.api.door import coming, guesses, limiter
from epro.console.door import cookie_name, give_cookie, keep_way, know_device, open_page, take_way
from epro.console.page import show, way
from epro.errors import NotFound
from epro.signin import browsers, sso
from epro.tx import begin, system


@open_page("/sso")
@limiter.limit("60/minute;600/hour")
def elsewhere() -> Response:
    """Off to the provider; `again`: there she shows once more who she is. A link and no form, for a browser lets no
    form of ours lead to another host.
    """
    _must_be_on()
    going = sso.start(way(request.args.get("next")), again=request.args.get("again") == "1")
    response: Any = redirect(going.address, 303)
    keep_way(response, going.secret)
    return response


@open_page("/sso/link", "POST")
@guesses
def link_elsewhere() -> Response:
    """With an administrator's invitation: the page from which she goes on to the provider, to be linked with it."""
    _must_be_on()
    going = sso.start("/console/", request.form.get("link", ""))
    response = show("elsewhere.html", address=going.address, provider=sso.name())
    keep_way(response, going.secret)
    return response


@open_page("/sso/callback")
@guesses
def back_from_elsewhere() -> Response:
    """Back from the provider: a new session, in a new cookie; or the one there is, proved once more."""
    _must_be_on()
    identity, kept = sso.exchange(request.args.to_dict(), request.cookies.get(f"{cookie_name()}-sso"))
    response: Any = redirect(way(kept["next"]), 303)
    take_way(response)
    with begin(system("console")) as tx:
        session = browsers.find(tx, request.cookies.get(cookie_name(), "")) if kept.get("again") else None
        if session is not None:
            sso.prove(tx, identity, kept, session)
            return response
        opened, device = sso.enter(tx, identity, kept, coming(), browsers.open_session)
    give_cookie(response, opened)
    know_device(response, device)
    return response


@open_page("/sso/sign-out", "POST")
@limiter.limit("60/minute;600/hour")
def signed_out_elsewhere() -> Response:
    """Back-channel logout: the provider says, signed, that somebody has signed out there."""
    _must_be_on()
    sso.signed_out_there(request.form.get("logout_token", ""))
    return Response(status=200)


def _must_be_on() -> None:
    if not sso.is_on():
        raise NotFound()
