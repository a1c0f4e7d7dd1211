"""Every route of the console, written out by hand, with the roles that may use it.

A route that stands in the console and not here fails `test_who_may.py`. Whoever adds one says here who may use it.
"""

from __future__ import annotations

EVERYBODY = "nurse investigator data_manager monitor study_builder administrator"
SITE = "nurse investigator"
READERS = f"{SITE} data_manager monitor"
TRAIL = "investigator data_manager monitor"
BUILDERS = "study_builder administrator"
HANDLERS = f"{BUILDERS} data_manager"
ANYBODY = "anybody"  # without signing in

ROUTES: dict[tuple[str, str], str] = {
    ("GET", "/console/"): EVERYBODY,
    ("GET", "/console/sign-in"): ANYBODY,
    ("POST", "/console/sign-in"): ANYBODY,
    ("POST", "/console/sign-out"): EVERYBODY,
    ("POST", "/console/language"): ANYBODY,
    ("GET", "/console/static/<path:name>"): ANYBODY,
    ("GET", "/console/link"): ANYBODY,
    ("POST", "/console/link"): ANYBODY,
    ("GET", "/console/recovery"): ANYBODY,
    ("POST", "/console/recovery"): ANYBODY,
    ("POST", "/console/passkey/challenge"): ANYBODY,
    ("POST", "/console/passkey/sign-in"): ANYBODY,
    ("GET", "/console/sso"): ANYBODY,
    ("POST", "/console/sso/link"): ANYBODY,
    ("GET", "/console/sso/callback"): ANYBODY,
    ("POST", "/console/sso/sign-out"): ANYBODY,
    ("GET", "/console/account"): EVERYBODY,
    ("POST", "/console/account/totp"): EVERYBODY,
    ("POST", "/console/account/totp/confirmation"): EVERYBODY,
    ("POST", "/console/account/codes"): EVERYBODY,
    ("POST", "/console/account/passkeys/challenge"): EVERYBODY,
    ("POST", "/console/account/passkeys"): EVERYBODY,
    ("POST", "/console/account/passkeys/<uuid:passkey_id>/removal"): EVERYBODY,
    ("POST", "/console/account/sessions/<uuid:session_id>/end"): EVERYBODY,
    **{
        ("POST", f"/console/account/{act}"): EVERYBODY
        for act in ("proof/challenge", "proof/passkey", "password", "language")
    },
    ("GET", "/console/account/password"): EVERYBODY,
    ("GET", "/console/account/proof"): EVERYBODY,
    ("POST", "/console/account/proof"): EVERYBODY,
    ("GET", "/console/studies/<study_id>/"): EVERYBODY,
    ("GET", "/console/studies/<study_id>/worklist"): SITE,
    ("GET", "/console/studies/<study_id>/worklist/live"): SITE,
    ("GET", "/console/studies/<study_id>/alerts/<uuid:alert_id>"): SITE,
    **{
        ("POST", f"/console/studies/<study_id>/alerts/<uuid:alert_id>/{act}"): SITE
        for act in ("take", "contact", "note", "hand-over", "resolve", "reopen")
    },
    ("GET", "/console/studies/<study_id>/participants"): READERS,
    ("GET", "/console/studies/<study_id>/participants/<subject_id>"): READERS,
    ("POST", "/console/studies/<study_id>/participants/<subject_id>/letter"): SITE,
    ("POST", "/console/studies/<study_id>/participants/<subject_id>/devices/<uuid:device_id>/revoke"): SITE,
    ("POST", "/console/studies/<study_id>/participants/<subject_id>/withdraw"): SITE,
    ("GET", "/console/studies/<study_id>/looks"): f"{TRAIL} administrator",
    ("GET", "/console/studies/<study_id>/rights"): SITE,
    ("GET", "/console/studies/<study_id>/rights/<uuid:request_id>"): SITE,
    ("POST", "/console/studies/<study_id>/participants/<subject_id>/rights"): SITE,
    ("POST", "/console/studies/<study_id>/rights/<uuid:request_id>/answer"): "investigator",
    **{
        ("POST", f"/console/studies/<study_id>/participants/<subject_id>/{act}"): "investigator"
        for act in ("restriction/end", "erasure", "own-data")
    },
    ("GET", "/console/studies/<study_id>/participants/<subject_id>/excuses"): SITE,
    ("POST", "/console/studies/<study_id>/participants/<subject_id>/excuses"): SITE,
    ("POST", "/console/studies/<study_id>/participants/<subject_id>/excuses/take-back"): SITE,
    ("GET", "/console/studies/<study_id>/trail"): TRAIL,
    ("GET", "/console/studies/<study_id>/trail/checks"): TRAIL,
    **{
        ("GET", f"/console/studies/<study_id>/{page}"): "data_manager"
        for page in (
            "data",
            "data/live",
            "sinks/<name>",
            "exports",
            "exports/live",
            "exports/<uuid:job_id>/file",
        )
    },
    **{
        ("POST", f"/console/studies/<study_id>/sinks/<name>/{act}"): "data_manager"
        for act in ("pause", "resume", "replay", "retry")
    },
    ("POST", "/console/studies/<study_id>/data/comparison"): "data_manager",
    ("POST", "/console/studies/<study_id>/exports"): "data_manager",
    **{
        ("GET", f"/console/studies/<study_id>/{page}"): "administrator"
        for page in ("staff", "staff/<uuid:staff_id>", "sites", "keys", "system")
    },
    **{
        ("POST", f"/console/studies/<study_id>/{act}"): "administrator"
        for act in ("staff", "keys", "keys/<uuid:key_id>/revoke", "keys/<uuid:key_id>/sources")
    },
    **{
        ("POST", f"/console/studies/<study_id>/staff/<uuid:staff_id>/{act}"): "administrator"
        for act in (
            *("link", "roles", "roles/back", "sessions/end", "sessions/<uuid:session_id>/end"),
            *("unlock", "factors/reset", "close"),
        )
    },
    **{
        ("GET", f"/console/studies/<study_id>/build{page}"): BUILDERS
        for page in (
            *("", "/check", "/versions/<version>/file", "/rehearsals/<digest>"),
            "/rehearsals/<digest>/figures",
        )
    },
    **{
        ("GET", f"/console/studies/<study_id>/build/wording{page}"): HANDLERS
        for page in ("", "/<code>/<version>/<language>", "/<code>/<version>/<language>/packs/<name>")
    },
    (
        "POST",
        "/console/studies/<study_id>/build/wording/<code>/<version>/<language>/packs/<name>/approve",
    ): HANDLERS,
    **{
        ("POST", f"/console/studies/<study_id>/build/{act}"): BUILDERS
        for act in ("check", "publish", "approval")
    },
    ("GET", "/console/studies/<study_id>/compliance"): READERS,
    ("GET", "/console/studies/<study_id>/held"): "data_manager monitor",
    ("GET", "/console/studies/<study_id>/answers"): READERS,
    ("GET", "/console/studies/<study_id>/answers/<uuid:response_id>"): READERS,
    ("POST", "/console/studies/<study_id>/answers/<uuid:response_id>/correct"): SITE,
    ("POST", "/console/studies/<study_id>/answers/<uuid:response_id>/sign"): "investigator",
    ("GET", "/console/studies/<study_id>/signing"): READERS,
    ("GET", "/console/studies/<study_id>/queries"): READERS,
    ("GET", "/console/studies/<study_id>/queries/<uuid:query_id>"): READERS,
    ("POST", "/console/studies/<study_id>/answers/<uuid:response_id>/ask"): "data_manager monitor",
    ("POST", "/console/studies/<study_id>/queries/<uuid:query_id>/answer"): SITE,
    ("POST", "/console/studies/<study_id>/queries/<uuid:query_id>/ask"): "data_manager monitor",
    ("POST", "/console/studies/<study_id>/queries/<uuid:query_id>/close"): "data_manager monitor",
    ("GET", "/console/studies/<study_id>/participants/<subject_id>/signing"): "investigator",
    ("POST", "/console/studies/<study_id>/participants/<subject_id>/signing"): "investigator",
    ("GET", "/console/studies/<study_id>/set-aside"): SITE,
    ("GET", "/console/studies/<study_id>/set-aside/<uuid:set_aside_id>"): READERS,
    ("POST", "/console/studies/<study_id>/set-aside/<uuid:set_aside_id>/settle"): SITE,
    ("GET", "/console/studies/<study_id>/copy"): "investigator",
    ("GET", "/console/studies/<study_id>/copy/live"): "investigator",
    ("POST", "/console/studies/<study_id>/copy"): "investigator",
    ("GET", "/console/studies/<study_id>/copy/<uuid:job_id>/file"): "investigator",
    **{
        ("POST", f"/console/studies/<study_id>/participants/<subject_id>/{act}"): SITE
        for act in ("notes", "contact", "plan", "devices/<uuid:device_id>/replace")
    },
    ("GET", "/console/studies/<study_id>/participants/<subject_id>/plan"): SITE,
    ("GET", "/console/studies/<study_id>/enrolment"): SITE,
    ("POST", "/console/studies/<study_id>/enrolment"): SITE,
    ("GET", "/console/<path:elsewhere>"): EVERYBODY,
}
