"""SMS to mainland China through Aliyun (Alibaba Cloud), by its own SDK.

Aliyun takes no text: it takes the id of a template that was registered with it, the name of a registered
signature, and the values of the template's placeholders. Under which id a wording is registered says the study,
or else the file that `EPRO_ALIYUN_TEMPLATES` names.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from epro.notifications import wording
from epro.notifications.senders import Outgoing, SendFailed, SendUnknown

ENDPOINT = "https://dysmsapi.aliyuncs.com"
TIMEOUT = (3.0, 10.0)  # seconds: to connect, to wait for the answer
CHINA = ZoneInfo("Asia/Shanghai")  # Aliyun's days
PREFIX = "+86"
PAGE, PAGES = 50, 4  # messages to one number on one day that are looked through

Templates = Mapping[str, Mapping[str, Sequence[str]]]  # our key -> language -> an id for each wording
Answer = TypeVar("Answer")


class AliyunSender:
    """Hands messages to Aliyun, each exactly one request. `endpoint` is scheme and host; `timeout` in seconds."""

    channel, name = "sms", "aliyun"

    def __init__(
        self,
        key_id: str,
        key_secret: str,
        *,
        sign_name: str,
        templates: Templates,
        endpoint: str = ENDPOINT,
        timeout: tuple[float, float] = TIMEOUT,
    ):
        self._key, self._sign_name, self._templates = (key_id, key_secret), sign_name, templates
        self._protocol, _, self._host = endpoint.rstrip("/").partition("://")
        self._timeout = timeout

    def send(self, message: Outgoing) -> str:
        template, number = self._registered(message), national(message.to)
        return _told(lambda: self._create(message, template, number))

    def find(self, message: Outgoing, since: datetime) -> str | None:
        """Its id, if this very message was taken on the day of `since` or on the next one, by Aliyun's calendar.

        What tells it is `OutId`, which Aliyun keeps as we gave it. The list names no receipt (BizId).
        """
        try:
            return _told(lambda: self._look(message, since))
        except SendFailed as refused:  # the question was refused; what became of the message stays open
            code = refused.code
        raise SendUnknown(code)

    def asks_for_ids(self, to: str) -> bool:
        return True

    def registered(self, to: str, template: str, language: str, turn: int) -> str | None:
        """The id of this wording by our own file."""
        ids = self._templates.get(template, {}).get(language, ())
        return ids[turn] if turn < len(ids) else None

    def _registered(self, message: Outgoing) -> str:
        known = message.registered_as or self.registered(
            message.to, message.template, message.language, message.turn
        )
        if known is None:
            raise SendFailed("not_registered", permanent=True)
        return known

    def _create(self, message: Outgoing, template: str, number: str) -> str:
        from alibabacloud_dysmsapi20170525.models import SendSmsRequest

        client, runtime = self._client()
        wanted = SendSmsRequest(
            phone_numbers=number,
            sign_name=self._sign_name,
            template_code=template,
            template_param=json.dumps(dict(message.values), ensure_ascii=False),
            out_id=out_id(message),
        )
        answer = client.send_sms_with_options(wanted, runtime).body
        if answer.code != "OK":
            raise Refused(answer.code)
        if not answer.biz_id:
            raise ValueError("answered without a receipt")
        return str(answer.biz_id)

    def _look(self, message: Outgoing, since: datetime) -> str | None:
        wanted = out_id(message)
        day = since.astimezone(CHINA).date()
        for asked in (day, day + timedelta(days=1)):
            if any(listed.out_id == wanted for listed in self._listed(message.to, f"{asked:%Y%m%d}")):
                return f"out-{message.message_id}"
        return None

    def _listed(self, to: str, day: str) -> Iterator[Any]:
        from alibabacloud_dysmsapi20170525.models import QuerySendDetailsRequest

        for page in range(1, PAGES + 1):
            client, runtime = self._client()
            asked = QuerySendDetailsRequest(
                phone_number=national(to), send_date=day, page_size=PAGE, current_page=page
            )
            answer = client.query_send_details_with_options(asked, runtime).body
            if answer.code != "OK":
                raise Refused(answer.code)
            rows = answer.sms_send_detail_dtos.sms_send_detail_dto if answer.sms_send_detail_dtos else []
            yield from rows
            if len(rows) < PAGE:
                return

    def _client(self) -> tuple[Any, Any]:
        """The SDK's client, without retries, and how long it waits.

        The SDK keeps connections. One that the other side has closed is noticed before it is used, but for an
        instant; what falls into that instant is in doubt, and asked about by its `OutId`.
        """
        from alibabacloud_dysmsapi20170525 import client as sdk  # here: it costs half a second

        from epro.notifications.senders.network import keep_queries_out_of_logs

        keep_queries_out_of_logs()  # the SDK puts number and values into the address
        config = sdk.open_api_util_models.Config(
            access_key_id=self._key[0],
            access_key_secret=self._key[1],
            endpoint=self._host,
            protocol=self._protocol,
            user_agent="epro",
        )
        connect, read = (int(seconds * 1000) for seconds in self._timeout)
        return sdk.Client(config), sdk.RuntimeOptions(
            connect_timeout=connect, read_timeout=read, autoretry=False
        )


class Refused(Exception):
    """Aliyun answered, and not with OK; holds its code only."""

    def __init__(self, code: str | None):
        self.code = code or ""
        super().__init__(self.code)


def national(to: str) -> str:
    """A number of mainland China as it is dialled there. Others are not for this provider."""
    if not to.startswith(PREFIX):
        raise SendFailed("region_closed", permanent=True)
    return to.removeprefix(PREFIX)


def out_id(message: Outgoing) -> str:
    """What Aliyun repeats in its reports: our id, and the key that shows that the report is about our message."""
    return f"{message.message_id}.{message.callback_key}"


def template_faults(path: str, texts: wording.Texts | None = None) -> list[str]:
    """What keeps this file of registered templates from being used, one sentence each."""
    try:
        told = read_templates(path)
    except (OSError, ValueError):
        return ["cannot be read: it is no file with a JSON object, key -> language -> list of ids"]
    texts = wording.shipped() if texts is None else texts
    found = [f"names {key}, which is no text of ours" for key in told if not _is_known(texts, key)]
    for language in sorted({language for ids in told.values() for language in ids}):
        found += _language_faults(told, language, texts)
    return found if told else ["names no template"]


def read_templates(path: str) -> Templates:
    told: Templates = json.loads(Path(path).read_text(encoding="utf-8"))
    well = isinstance(told, dict) and all(_is_listing(ids) for ids in told.values())
    if not well:
        raise ValueError("no listing of templates")
    return told


def _is_listing(ids: Any) -> bool:
    return isinstance(ids, dict) and all(
        isinstance(many, list) and all(isinstance(one, str) and one for one in many) for many in ids.values()
    )


def _is_known(texts: wording.Texts, key: str) -> bool:
    return any(key in said["templates"] for said in texts.values())


def _language_faults(told: Templates, language: str, texts: wording.Texts) -> Iterator[str]:
    """A language has all of its texts registered, each wording under an id of its own, or none."""
    if language not in texts:
        yield f"names the language {language}, which has no texts"
        return
    for key, template in sorted(texts[language]["templates"].items()):
        ids = told.get(key, {}).get(language, ())
        if len(ids) != len(template["wordings"]) or len(set(ids)) != len(ids):
            yield f"needs {len(template['wordings'])} different ids for {key} in {language}"


def _told(ask: Callable[[], Answer]) -> Answer:
    """Ask Aliyun; every trouble becomes SendFailed or SendUnknown.

    Raised outside the handler, so that the SDK's exception, which holds number and values, does not hang on ours.
    """
    from epro.notifications.senders.aliyun_http import meaning

    try:
        return ask()
    except Exception as trouble:
        told = meaning(trouble)
    raise told
