"""What an answer of Aliyun, or none, means.

The SDK's exceptions come from packages beneath it, and are known here by what they hold: `status_code` and `code`
when the gateway answered, `inner_exception` when nobody did.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from epro.notifications.senders import SendFailed, SendUnknown
from epro.notifications.senders.aliyun import Refused
from epro.notifications.senders.network import of_the_network

# Aliyun's codes in our words: (code, permanent). What an operator can mend is never permanent.
MEANINGS: Mapping[str, tuple[str, bool]] = {
    "isv.MOBILE_NUMBER_ILLEGAL": ("bad_number", True),
    "isv.NOT_SUPPORTED_COUNTRY": ("region_closed", True),
    "isv.COUNTRY_RESTRICTED": ("region_closed", True),
    "isv.BUSINESS_LIMIT_CONTROL": ("busy", False),
    "isv.DAY_LIMIT_CONTROL": ("busy", False),
    "isv.MONTH_LIMIT_CONTROL": ("busy", False),
    "isv.AMOUNT_NOT_ENOUGH": ("account", False),
    "isv.OUT_OF_SERVICE": ("account", False),
    "isv.PRODUCT_UNSUBSCRIBE": ("account", False),
    "isv.PRODUCT_UN_SUBSCRIPT": ("account", False),
    "isv.ACCOUNT_NOT_EXISTS": ("account", False),
    "isv.ACCOUNT_ABNORMAL": ("account", False),
    "isv.SMS_TEMPLATE_ILLEGAL": ("not_registered", False),
    "isv.SMS_SIGNATURE_ILLEGAL": ("not_registered", False),
    "isv.SMS_SIGN_ILLEGAL": ("not_registered", False),
    "isv.SMS_SIGNATURE_SCENE_ILLEGAL": ("not_registered", False),
    "isv.TEMPLATE_MISSING_PARAMETERS": ("not_registered", False),
    "isv.TEMPLATE_PARAMS_ILLEGAL": ("not_registered", False),
    "isv.BLACK_KEY_CONTROL_LIMIT": ("filtered", False),
    "isv.SMS_CONTENT_ILLEGAL": ("filtered", False),
    "isv.PARAM_NOT_SUPPORT_URL": ("filtered", False),
    "isv.PARAM_LENGTH_LIMIT": ("too_long", True),
    "isv.DENY_IP_RANGE": ("credentials", False),
    "isp.RAM_PERMISSION_DENY": ("credentials", False),
    "isv.RAM_CHECK_FAILED": ("credentials", False),
}
CREDENTIALS = re.compile(r"InvalidAccessKey|SignatureDoesNotMatch|IncompleteSignature|Forbidden|NoPermission")
BUSY = re.compile(r"Throttling|LIMIT_CONTROL|ServiceUnavailable")
SHOWN = re.compile(r"[A-Za-z0-9_.:-]{1,60}")


def meaning(trouble: Exception) -> SendFailed | SendUnknown:
    """What an exception of the SDK, of the network or of ours says about the message."""
    if isinstance(trouble, SendFailed | SendUnknown):
        return trouble
    if isinstance(trouble, Refused):
        return _of_code(trouble.code)
    status = getattr(trouble, "status_code", None)
    if isinstance(status, int):
        return _of_status(status, str(getattr(trouble, "code", "")))
    return of_the_network(_beneath(trouble))


def _of_code(code: str) -> SendFailed | SendUnknown:
    """An answer with a code of its own. What is broken on their side may have been sent all the same."""
    if not code or code.startswith("isp.") and code not in MEANINGS:
        return SendUnknown("unreadable")
    if code in MEANINGS:
        ours, permanent = MEANINGS[code]
        return SendFailed(ours, permanent=permanent, detail=code)
    return SendFailed("busy" if BUSY.search(code) else "refused", permanent=False, detail=shown(code))


def _of_status(status: int, code: str) -> SendFailed | SendUnknown:
    """An answer of the gateway before the service: 4xx is a no, 5xx is none."""
    if status >= 500 or status == 408:
        return SendUnknown(f"http_{status}")
    if code in MEANINGS:
        return _of_code(code)
    if BUSY.search(code) or status == 429:
        return SendFailed("busy", permanent=False, detail=shown(code))
    ours = "credentials" if CREDENTIALS.search(code) or status in (401, 403) else "refused"
    return SendFailed(ours, permanent=False, detail=shown(code))


def shown(code: str) -> str | None:
    """A code for the operator, if it looks like one: other words of theirs repeat the number."""
    return code if SHOWN.fullmatch(code) else None


def _beneath(trouble: BaseException) -> BaseException:
    """What went wrong on the wire: the SDK wraps it twice."""
    inner = getattr(trouble, "inner_exception", None)
    trouble = inner if isinstance(inner, BaseException) else trouble
    return trouble.__context__ if isinstance(trouble.__context__, OSError) else trouble
