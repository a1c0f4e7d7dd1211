"""Push subscriptions of phones: kept with the contact data, sealed, one for each device."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from epro.contacts import store

PREFIX = "push/"


def keep(
    study_id: str, subject_id: str, device_id: UUID, subscription: Mapping[str, Any], now: datetime
) -> str:
    """Keep what this phone's browser gave us, in the place of what it gave before; the trail's commitment."""
    value = json.dumps({**subscription, "device": str(device_id), "at": now.isoformat()}, sort_keys=True)
    field = f"{PREFIX}{device_id}"
    return store.keep(study_id, _owner(subject_id), {field: value}, now)[field]


def forget(study_id: str, subject_id: str, device_id: UUID, now: datetime) -> bool:
    """No message goes to this phone any more; whether one could before."""
    return _forget(study_id, subject_id, [f"{PREFIX}{device_id}"], now)


def forget_all(study_id: str, subject_id: str, now: datetime) -> bool:
    """No message goes to any phone of hers."""
    return _forget(study_id, subject_id, None, now)


def forget_this(study_id: str, subject_id: str, subscription: str, now: datetime) -> UUID | None:
    """The provider says that this subscription is gone: forget it, unless the phone has given another since."""
    kept = store.of(study_id, _owner(subject_id))
    field = next(
        (name for name, value in kept.items() if name.startswith(PREFIX) and value == subscription), None
    )
    if field is None:
        return None
    store.keep(study_id, _owner(subject_id), {field: None}, now)
    return UUID(field.removeprefix(PREFIX))


def newest(contact: Mapping[str, str]) -> str | None:
    """Of her contact data the subscription that was given last."""
    kept = [value for field, value in contact.items() if field.startswith(PREFIX)]
    return max(kept, key=lambda value: str(json.loads(value)["at"]), default=None)


def _forget(study_id: str, subject_id: str, fields: list[str] | None, now: datetime) -> bool:
    owner = _owner(subject_id)
    kept = [field for field in store.fields_of(study_id, owner) if field.startswith(PREFIX)]
    gone = [field for field in kept if fields is None or field in fields]
    if gone:
        store.keep(study_id, owner, dict.fromkeys(gone), now)
    return bool(gone)


def _owner(subject_id: str) -> str:
    return f"participant/{subject_id}"
