"""A person's own account in the browser: links by e-mail, second factors, sessions, showing once more who one is."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from flask import Response, g, jsonify, redirect, request, url_for
from markupsafe import Markup

from epro.api.door import actor, coming, guesses, limiter
from epro.console import saying
from epro.console.door import (
    EVERYBODY,
    WITHOUT_SECOND_FACTOR,
    act,
    console,
    give_cookie,
    keep_form,
    keep_language,
    know_device,
    open_page,
    page,
)
from epro.console.page import back_to, on_to, page_at_or_above, show, way
from epro.console.worklist import own_zone
from epro.errors import Invalid
from epro.signin import (
    browsers,
    factors,
    links,
    passkeys,
    password_rules,
    passwords,
    sessions,
    sso,
    staff,
    stepup,
)
from epro.signin.models import SignInSession, Staff
from epro.tx import begin, look, system

WITHOUT_SECOND_FACTOR.update(
    f"console.{name}"
    for name in (
        "account",
        "proof",
        "prove",
        "proof_challenge",
        "prove_by_passkey",
        "begin_totp",
        "confirm_totp",
        "passkey_options",
        "add_passkey",
    )
)


@open_page("/link")
def link() -> Response:
    """Where a link by e-mail leads: its secret stands in the fragment, and a script of ours puts it into the form."""
    return show("link.html", done=False, faults=[], sso=_sso())


@open_page("/link", "POST")
@guesses
def choose_password() -> Response:
    """The password that she has chosen."""
    try:
        links.choose_password(request.form.get("link", ""), request.form.get("password", ""))
    except Invalid as refused:
        faults = [str(one["why"]) for one in refused.errors]
        return show("link.html", 422, done=False, faults=faults, sso=_sso())
    return show("link.html", done=True, faults=[], sso=None)


@open_page("/recovery")
def lost() -> Response:
    """For who has lost her password."""
    return show("recovery.html", asked=False)


@open_page("/recovery", "POST")
@limiter.limit("10/minute;30/hour")
def ask_link() -> Response:
    """The same is said whether anybody has this address."""
    links.ask_recovery(request.form.get("email", "")[:200])
    return show("recovery.html", asked=True)


@open_page("/passkey/challenge", "POST")
@limiter.limit("60/minute;600/hour")
def passkey_challenge() -> Response:
    with begin(system("console")) as tx:
        return jsonify(passkeys.begin_showing(tx))


@open_page("/passkey/sign-in", "POST")
@guesses
def passkey_enter() -> Response:
    """Let somebody in by her passkey."""
    sent = _sent()
    with begin(system("console")) as tx:
        opened = passkeys.sign_in(
            tx, str(sent.get("ticket")), sent.get("credential", {}), coming(), browsers.open_session
        )
    if opened is None:
        raise staff.SignInRefused()
    response = jsonify({"go": "/console/"})
    give_cookie(response, opened[1])
    know_device(response, opened[2])
    return response


@page("/account", roles=EVERYBODY)
def account() -> Response:
    """Her second factors and her sessions; before there is a factor, how to set one up."""
    with look(actor()) as tx:
        person = tx.get(Staff, UUID(actor().id))
        assert person is not None
        g.zone = own_zone(tx)
        return show(
            "account.html",
            has_totp=person.totp_sealed is not None,
            has_any=factors.has_any(tx, person),
            needed=factors.is_required() and not factors.has_any(tx, person),
            passkeys=factors.passkeys_of(tx, person.id),
            codes_left=factors.codes_left(tx, person.id),
            sessions=sessions.of_staff(tx, person.id),
            this_one=actor().session_id,
            spoken_to=person.language,
        )


@act("/account/totp", roles=EVERYBODY)
def begin_totp() -> Response:
    """A new seed, to be scanned."""
    with begin(actor()) as tx:
        seed = factors.begin_totp(tx)
    return show("totp.html", picture=Markup(seed.svg), seed=seed.text, wrong=False)


@act("/account/totp/confirmation", roles=EVERYBODY)
def confirm_totp() -> Response:
    """The seed counts from now on."""
    with begin(actor()) as tx:
        made = factors.confirm_totp(tx, request.form.get("otp", ""))
    return show("codes.html", codes=made)


@act("/account/codes", roles=EVERYBODY)
def new_codes() -> Response:
    """Ten new recovery codes, shown once."""
    with begin(actor()) as tx:
        made = factors.renew_codes(tx)
    return show("codes.html", codes=made)


@act("/account/passkeys/challenge", roles=EVERYBODY)
def passkey_options() -> Response:
    with begin(actor()) as tx:
        return jsonify(passkeys.begin_adding(tx))


@act("/account/passkeys", roles=EVERYBODY)
def add_passkey() -> Response:
    """Keep a passkey; the codes of a first factor are shown by the page that asked."""
    sent = _sent()
    with begin(actor()) as tx:
        made = passkeys.add(
            tx, str(sent.get("ticket")), sent.get("credential", {}), str(sent.get("name", ""))[:60]
        )
    return jsonify({"codes": made, "go": url_for("console.account")})


@act("/account/passkeys/<uuid:passkey_id>/removal", roles=EVERYBODY)
def remove_passkey(passkey_id: UUID) -> Response:
    with begin(actor()) as tx:
        passkeys.remove(tx, passkey_id)
    return back_to("account")


@act("/account/sessions/<uuid:session_id>/end", roles=EVERYBODY)
def end_session(session_id: UUID) -> Response:
    """End one of her sessions."""
    with begin(actor()) as tx:
        staff.end_session(tx, UUID(actor().id), session_id, "ended_by_owner")
    return back_to("account")


@act("/account/language", roles=EVERYBODY)
def choose_language() -> Response:
    """Her own language: of letters and messages to her wherever she reads them, and of these pages."""
    wanted = saying.speaks(request.form.get("language"))
    if wanted is None:
        raise Invalid()
    with begin(actor()) as tx:
        staff.speak_to(tx, UUID(actor().id), wanted)
    response = back_to("account")
    keep_language(response, wanted)
    return response


@page("/account/password", roles=EVERYBODY)
def password() -> Response:
    """Where she chooses another password."""
    with look(actor()) as tx:
        stepup.require(tx)
    return show("password.html", faults=[])


@act("/account/password", roles=EVERYBODY)
def change_password() -> Response:
    """Keep another password; every other session of hers ends, and a letter says so."""
    chosen = request.form.get("password", "")
    hashed = passwords.hashed(password_rules.normal(chosen[: password_rules.LONGEST + 1]))
    try:
        with begin(actor()) as tx:
            stepup.require(tx)
            person = factors.acting(tx)
            staff.check_new_password(tx, person, chosen)
            staff.change_password(tx, person, hashed, SignInSession.id != actor().session_id)
    except Invalid as refused:
        return show("password.html", 422, faults=[str(one["why"]) for one in refused.errors])
    return back_to("account")


@page("/account/proof", roles=EVERYBODY)
def proof() -> Response:
    """Where she shows once more who she is; then she goes on where she was."""
    return _proof()


@act("/account/proof/challenge", roles=EVERYBODY)
def proof_challenge() -> Response:
    with begin(actor()) as tx:
        return jsonify(passkeys.begin_showing(tx))


@act("/account/proof/passkey", roles=EVERYBODY)
@guesses
def prove_by_passkey() -> Response:
    """She shows a passkey of hers."""
    sent = _sent()
    with begin(actor()) as tx:
        shown = passkeys.prove(tx, str(sent.get("ticket")), sent.get("credential", {}))
    if not shown:
        raise passkeys.PasskeyRefused()
    return jsonify({"go": way(str(sent.get("next", "")))})


@act("/account/proof", roles=EVERYBODY)
@guesses
def prove() -> Response:
    """Password and second factor, once more."""
    fits = staff.is_password(UUID(actor().id), request.form.get("password", ""))
    with begin(actor()) as tx:
        shown = staff.prove(tx, fits, request.form.get("otp") or None, coming())
    if not shown:
        return _proof(401, refused=True)
    return redirect(way(request.form.get("next")), 303)  # type: ignore[return-value]


@console.errorhandler(stepup.StepUpNeeded)
def to_the_proof(error: stepup.StepUpNeeded) -> Response:
    lost = {} if keep_form() else {"lost": "1"}
    return _sent_to("proof", next=_stood_on(), **lost)


@console.errorhandler(stepup.PasskeyNeeded)
def to_the_passkey(error: stepup.PasskeyNeeded) -> Response:
    lost = {} if keep_form() else {"lost": "1"}
    return _sent_to("proof", next=_stood_on(), passkey="1", **lost)


@console.errorhandler(factors.SecondFactorMissing)
def to_the_account(error: factors.SecondFactorMissing) -> Response:
    return _sent_to("account")


def _sent_to(name: str, **names: Any) -> Response:
    """To another page first, however the question came."""
    if request.headers.get("HX-Request") or request.is_json:
        response = jsonify({"go": url_for(f"console.{name}", **names)})
        response.status_code = 403
        response.headers["HX-Redirect"] = url_for(f"console.{name}", **names)
        return response
    return on_to(name, **names)


def _stood_on() -> str:
    """The page that she wanted to see, or whose form she has sent: there she goes on."""
    if request.method == "GET":
        return way(request.full_path.rstrip("?"))
    parts = urlsplit(request.headers.get("HX-Current-URL") or request.headers.get("Referer", ""))
    path = page_at_or_above(parts.path)
    return way(f"{path}?{parts.query}" if parts.query and path == parts.path else path)


def _proof(status: int = 200, *, refused: bool = False) -> Response:
    with look(actor()) as tx:
        has_passkey = bool(factors.passkeys_of(tx, UUID(actor().id)))
        linked = _sso() if sso.is_linked(tx, UUID(actor().id)) else None
    wanted = way(request.values.get("next", "/console/account"))
    lost = bool(request.values.get("lost"))
    return show(
        "proof.html",
        status,
        refused=refused,
        next=wanted,
        lost=lost,
        has_passkey=has_passkey,
        sso=linked,
        only_passkey=bool(request.args.get("passkey")),
    )


def _sso() -> str | None:
    return sso.name() if sso.is_on() else None


def _sent() -> dict[str, Any]:
    found = request.get_json(silent=True)
    return found if isinstance(found, dict) else {}
