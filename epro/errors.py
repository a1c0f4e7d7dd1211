"""Everything that can be refused, by name.

One class per refusal: `status` is the HTTP status a door answers with, `code` the stable word that
programs may test for, and the first line of the docstring the message people read. Nothing a participant
said, no contact data and no secret may ever stand in a message.
"""

from __future__ import annotations

from typing import Any, ClassVar


def places(error: BaseException) -> str:
    """Where an error came from, innermost first: files, lines, functions. Its own words stay out of every log:
    a database repeats whole rows in them, a sender the number it could not reach.
    """
    trace, found = error.__traceback__, []
    while trace is not None:
        code = trace.tb_frame.f_code
        found.append(f"{code.co_filename.rpartition('/')[2]}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return " < ".join(reversed(found[-6:]))


class EproError(Exception):
    """The request cannot be carried out."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "refused"

    def __init__(
        self, detail: str | None = None, *, errors: list[dict[str, Any]] | None = None, **extra: Any
    ):
        self.detail = detail or (type(self).__doc__ or "").strip().splitlines()[0]
        self.errors = errors or []
        self.extra = extra
        super().__init__(self.detail)


class BadJson(EproError):
    """The body is not JSON that can be read without doubt."""

    code = "bad_json"


class BadAddress(EproError):
    """The address holds a NUL, which stands in no name of ours."""

    code = "bad_address"


class Invalid(EproError):
    """Some fields are missing or wrong; see errors."""

    status, code = 422, "invalid"


class TooLarge(EproError):
    """The body is larger than this door takes."""

    status, code = 413, "too_large"


class NotSignedIn(EproError):
    """No valid key came with the request."""

    status, code = 401, "not_signed_in"


class NotAllowed(EproError):
    """This key does not open this door."""

    status, code = 403, "not_allowed"


class NotFound(EproError):
    """There is nothing here under this name."""

    status, code = 404, "not_found"


class Conflict(EproError):
    """What is asked for contradicts what is on record."""

    status, code = 409, "conflict"


class TooMany(EproError):
    """Too many tries; wait and try again."""

    status, code = 429, "too_many"


class Unavailable(EproError):
    """A part that is needed does not answer just now; try again."""

    status, code = 503, "unavailable"
