"""Staff: who you are, and what you show to prove it. What you do at your sites is behind the other door."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from epro.api.door import Door, actor, coming, failed, guesses, limiter, staff_lock
from epro.api.phone import pair, refreshed
from epro.api.schemas import LoginIn, PairOut, RefreshIn, SignedInOut, StaffOut
from epro.api.schemas_staff import (
    CodesOut,
    NewPasskeyIn,
    OtpIn,
    PasskeyIn,
    PasskeyOptionsOut,
    PasskeysOut,
    PasswordIn,
    RecoveredIn,
    RecoveryIn,
    SeedOut,
    SessionsOut,
    StepUpIn,
)
from epro.signin import factors, links, passkeys, password_rules, passwords, sessions, staff, stepup
from epro.signin.models import SignInSession
from epro.tx import begin, look, system

OPEN = ("login", "token", "passkey_challenge", "passkey_login", "ask_recovery", "recover")
door = Door("staff", "/v1/staff", "Staff: signing in", staff_lock, open_doors=OPEN)


@door.post("/login")
@guesses
@door.arguments(LoginIn)
@door.response(200, SignedInOut)
def login(asked: dict[str, Any]) -> dict[str, Any]:
    """Sign in with e-mail, password and, where one is set up, a second factor: a one-time code or a recovery code.

    Where a second factor is asked for and none is set up, the session opens setting one up and nothing else.
    """
    opened = staff.sign_in(asked["email"], asked["password"], asked.get("otp"), coming(), staff.tokens_for)
    return _signed_in(opened)


@door.post("/passkey/challenge")
@limiter.limit("60/minute;600/hour")
@door.response(200, PasskeyOptionsOut)
def passkey_challenge() -> dict[str, Any]:
    """What a browser needs to show a passkey, and the ticket to come back with; good once, for five minutes."""
    with begin(system("door")) as tx:
        return passkeys.begin_showing(tx)


@door.post("/passkey/login")
@guesses
@door.arguments(PasskeyIn)
@door.response(200, SignedInOut)
def passkey_login(asked: dict[str, Any]) -> dict[str, Any]:
    """Sign in with a passkey: both factors at once."""
    with begin(system("door")) as tx:
        opened = passkeys.sign_in(tx, asked["ticket"], asked["credential"], coming(), staff.tokens_for)
    return _signed_in(opened)


def _signed_in(opened: tuple[UUID, sessions.Pair, str | None] | None) -> dict[str, Any]:
    if opened is None:
        raise staff.SignInRefused()
    staff_id, given, device = opened
    with look(system("door")) as tx:
        roles = staff.grants_of(tx, staff_id)
        row = sessions.of_staff(tx, staff_id)
        missing = factors.is_required() and bool(row) and all(one.second_factor is None for one in row)
    return {
        **pair(given),
        "staff": {"id": staff_id, "roles": roles},
        "known_device": device,
        "second_factor_missing": missing,
    }


@door.post("/token")
@limiter.limit("60/minute;600/hour", deduct_when=failed)
@door.arguments(RefreshIn)
@door.response(200, PairOut)
def token(asked: dict[str, Any]) -> dict[str, Any]:
    """A new pair of tokens; the refresh token is spent."""
    return refreshed(asked, sessions.STAFF)


@door.post("/recovery")
@limiter.limit("10/minute;30/hour")
@door.arguments(RecoveryIn)
@door.response(204)
def ask_recovery(asked: dict[str, Any]) -> None:
    """Ask for a link by e-mail to choose another password. The same is answered whether anybody has the address."""
    links.ask_recovery(asked["email"])


@door.post("/recovery/completion")
@guesses
@door.arguments(RecoveredIn)
@door.response(204)
def recover(asked: dict[str, Any]) -> None:
    """Choose a password with the secret of a link; an invitation's or a recovery's. Every session ends."""
    links.choose_password(asked["link"], asked["password"])


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


@door.post("/me/step-up")
@guesses
@door.arguments(StepUpIn)
@door.response(204)
def step_up(asked: dict[str, Any]) -> None:
    """Show once more who you are: password and second factor, or a passkey. Good for five minutes."""
    if "credential" in asked:
        with begin(actor()) as tx:
            shown = passkeys.prove(tx, asked.get("ticket", ""), asked["credential"])
    else:
        fits = staff.is_password(UUID(actor().id), asked.get("password", ""))
        with begin(actor()) as tx:
            shown = staff.prove(tx, fits, asked.get("otp"), coming())
    if not shown:
        raise staff.SignInRefused()


@door.post("/me/password")
@door.arguments(PasswordIn)
@door.response(204)
def change_password(asked: dict[str, Any]) -> None:
    """Choose another password; every other session ends. Asks for a step-up."""
    hashed = passwords.hashed(password_rules.normal(asked["password"]))
    with begin(actor()) as tx:
        stepup.require(tx)
        person = factors.acting(tx)
        staff.check_new_password(tx, person, asked["password"])
        staff.change_password(tx, person, hashed, SignInSession.id != actor().session_id)


@door.post("/me/totp")
@door.response(200, SeedOut)
def begin_totp() -> factors.Seed:
    """A new seed for one-time codes, as a QR picture and to be typed; it counts once it is confirmed."""
    with begin(actor()) as tx:
        return factors.begin_totp(tx)


@door.post("/me/totp/confirmation")
@door.arguments(OtpIn)
@door.response(200, CodesOut)
def confirm_totp(asked: dict[str, Any]) -> dict[str, Any]:
    """The seed counts from now on; recovery codes with the first factor. Every other session ends."""
    with begin(actor()) as tx:
        return {"recovery_codes": factors.confirm_totp(tx, asked["otp"])}


@door.post("/me/recovery-codes")
@door.response(200, CodesOut)
def recovery_codes() -> dict[str, Any]:
    """Ten new recovery codes; those before open nothing any more. Asks for a step-up."""
    with begin(actor()) as tx:
        return {"recovery_codes": factors.renew_codes(tx)}


@door.get("/me/passkeys")
@door.response(200, PasskeysOut)
def my_passkeys() -> dict[str, Any]:
    """Your passkeys."""
    with look(actor()) as tx:
        return {"passkeys": factors.passkeys_of(tx, UUID(actor().id))}


@door.post("/me/passkeys/challenge")
@door.response(200, PasskeyOptionsOut)
def passkey_options() -> dict[str, Any]:
    """What a browser needs to make a passkey, and the ticket to come back with."""
    with begin(actor()) as tx:
        return passkeys.begin_adding(tx)


@door.post("/me/passkeys")
@door.arguments(NewPasskeyIn)
@door.response(201, CodesOut)
def add_passkey(asked: dict[str, Any]) -> dict[str, Any]:
    """Keep a passkey; recovery codes with the first factor. Every other session ends."""
    with begin(actor()) as tx:
        made = passkeys.add(tx, asked["ticket"], asked["credential"], asked["name"])
    return {"recovery_codes": made}


@door.delete("/me/passkeys/<uuid:passkey_id>")
@door.response(204)
def remove_passkey(passkey_id: UUID) -> None:
    """Take a passkey away; not the last factor. Asks for a step-up."""
    with begin(actor()) as tx:
        passkeys.remove(tx, passkey_id)


@door.get("/me/sessions")
@door.response(200, SessionsOut)
def my_sessions() -> dict[str, Any]:
    """Your running sessions, the one used last first."""
    with look(actor()) as tx:
        found = sessions.of_staff(tx, UUID(actor().id))
    return {"sessions": [session_told(row, actor().session_id) for row in found]}


@door.delete("/me/sessions/<uuid:session_id>")
@door.response(204)
def end_session(session_id: UUID) -> None:
    """End one of your sessions; it holds from its next request on."""
    with begin(actor()) as tx:
        staff.end_session(tx, UUID(actor().id), session_id, "ended_by_owner")


def session_told(row: SignInSession, this_one: UUID | None) -> dict[str, Any]:
    """A session as its owner sees it."""
    names = ("id", "started_at", "seen_at", "second_factor", "opened_from", "agent")
    return {**{name: getattr(row, name) for name in names}, "this_one": row.id == this_one}
