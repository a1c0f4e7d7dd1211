"""Staff: who you are. What you do at your sites is behind the other door."""

from __future__ import annotations

from typing import Any

from epro.api.door import Door, actor, failed, limiter, source, staff_lock
from epro.api.phone import pair, refreshed
from epro.api.schemas import LoginIn, PairOut, RefreshIn, SignedInOut, StaffOut
from epro.signin import sessions, staff
from epro.tx import begin, look, system

door = Door("staff", "/v1/staff", "Staff: signing in", staff_lock, open_doors=("login", "token"))


@door.post("/login")
@limiter.limit("20/minute;100/hour", deduct_when=failed)
@door.arguments(LoginIn)
@door.response(200, SignedInOut)
def login(asked: dict[str, Any]) -> dict[str, Any]:
    """Sign in with e-mail, password and, where it is set up, a one-time code."""
    opened = staff.sign_in(asked["email"], asked["password"], asked.get("otp"), source(), staff.tokens_for)
    if opened is None:
        raise staff.SignInRefused()
    with look(system("door")) as tx:
        return {**pair(opened[1]), "staff": {"id": opened[0], "roles": staff.grants_of(tx, opened[0])}}


@door.post("/token")
@limiter.limit("60/minute;600/hour", deduct_when=failed)
@door.arguments(RefreshIn)
@door.response(200, PairOut)
def token(asked: dict[str, Any]) -> dict[str, Any]:
    """A new pair of tokens; the refresh token is spent."""
    return refreshed(asked, sessions.STAFF)


@door.post("/logout")
@door.response(204)
def logout() -> None:
    """End this session."""
    with begin(actor()) as tx:
        staff.log_out(tx)


@door.get("/me")
@door.response(200, StaffOut)
def me() -> dict[str, Any]:
    """Who is signed in, and her roles as they are at this moment."""
    return {"id": actor().id, "roles": actor().grants}
