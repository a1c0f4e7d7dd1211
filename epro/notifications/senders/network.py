"""What trouble on the way to a provider says about a message, for every provider that is reached over HTTP."""

from __future__ import annotations

import logging
import re
import ssl

import requests
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError
from urllib3.exceptions import SSLError as TlsError

from epro.notifications.senders import SendFailed, SendUnknown


class _NoQueries(logging.Filter):
    """Providers want the number in the query, a push service's path opens her phone, and urllib3 logs both."""

    def filter(self, record: logging.LogRecord) -> bool:
        told = re.sub(r"\?[^\s'\"]+", "?...", record.getMessage())
        record.msg, record.args = re.sub(r'"POST \S+ HTTP', '"POST ... HTTP', told), ()
        return True


NO_QUERIES = _NoQueries()


def keep_queries_out_of_logs() -> None:
    for name in ("urllib3.connectionpool", "urllib3.util.retry"):
        logging.getLogger(name).addFilter(NO_QUERIES)  # adding the same filter twice adds it once


def of_the_network(trouble: BaseException) -> SendFailed | SendUnknown:
    """Refused while connecting: certainly not taken. Anything later: nobody knows."""
    if isinstance(trouble, requests.RequestException) and _never_left(trouble):
        return SendFailed("unreachable", permanent=False)
    if _certificate_refused(trouble):
        return SendFailed("tls", permanent=False)
    if isinstance(trouble, requests.Timeout):
        return SendUnknown("timed_out")
    return SendUnknown("cut" if isinstance(trouble, requests.ConnectionError) else "unreadable")


def _never_left(trouble: requests.RequestException) -> bool:
    if isinstance(trouble, requests.ConnectTimeout | requests.exceptions.ProxyError):
        return True
    return isinstance(_reason(trouble), NewConnectionError | ConnectTimeoutError)


def _certificate_refused(trouble: BaseException) -> bool:
    reason = _reason(trouble)
    cause = reason.args[0] if isinstance(reason, TlsError) and reason.args else None
    return isinstance(cause, ssl.SSLCertVerificationError)


def _reason(trouble: BaseException) -> object:
    return getattr(trouble.args[0], "reason", None) if trouble.args else None
