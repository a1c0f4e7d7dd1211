"""Whether a call-back was really made by the provider."""

from __future__ import annotations

from collections.abc import Mapping

from twilio.request_validator import RequestValidator


def valid_twilio(
    auth_token: str,
    public_base_url: str,
    path_with_query: str,
    form: Mapping[str, str],
    signature: str | None,
) -> bool:
    """Whether `signature` (header X-Twilio-Signature) is Twilio's over this address and this form.

    public_base_url: scheme and host under which Twilio knows us (`https://epro.example.org`), from the
    settings. Behind a proxy the request's own address is another one, and its Host header is the caller's
    to choose. path_with_query: as received, still percent-encoded, from the root of that host.
    form: all posted fields; a MultiDict is read with all its values.

    The signature has no time stamp: a replay is valid, so whatever it says must be harmless twice.
    """
    if not auth_token or not signature:
        return False
    url = public_base_url.rstrip("/") + "/" + path_with_query.lstrip("/")
    return bool(RequestValidator(auth_token).validate(url, form, signature))
