"""Kafka: one topic a study, the subject as key, so that what belongs to one participant stays in order."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from epro.stream.cursors import WAITS
from epro.stream.feed import Entry
from epro.stream.records import records_of, waits
from epro.stream.sinks import SinkUnavailable

SECONDS = 30.0  # until a batch must be acknowledged
OURS = {"enable.idempotence": True, "acks": "all", "message.timeout.ms": int(SECONDS * 1000) - 5000}
REFUSED = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError._INVALID_ARG}
TOO_LARGE = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG, KafkaError.INVALID_RECORD}


class KafkaOutlet:
    """Delivers entries to a topic. The client is made at the first delivery: never before a process forks."""

    batch = 500

    def __init__(self, topic: str, settings: Mapping[str, str]):
        self.topic = topic
        self._settings = {name: _read(value) for name, value in settings.items()} | OURS
        self._producer: Any = None

    def deliver(self, entries: Sequence[Entry], now: datetime) -> dict[int, str]:
        """Deliver; what the broker objects to. It returns when all is acknowledged. Raises SinkUnavailable."""
        told: dict[int, Any] = {}
        refused: dict[int, str] = {}
        blocked: list[frozenset[str]] = []
        for entry in entries:
            if waits(entry.content, blocked):
                refused[entry.position] = WAITS
            else:
                self._produce(entry, told, refused)
            if entry.position in refused:
                blocked.append(records_of(entry.content))
        self.producer.flush(SECONDS)
        for entry in entries:
            fault = told.get(entry.position, "no report") if entry.position not in refused else None
            if fault is None:
                continue
            if isinstance(fault, KafkaError) and fault.code() in TOO_LARGE:
                refused[entry.position] = fault.name()
            else:
                self.close()  # nothing of this batch may still be sent after the next
                raise SinkUnavailable(fault.name() if isinstance(fault, KafkaError) else fault)
        return refused

    @property
    def producer(self) -> Any:
        if self._producer is None:
            self._producer = Producer(self._settings)
        return self._producer

    def close(self) -> None:
        if self._producer is not None:
            self._producer.purge()
            self._producer.flush(1)
            self._producer = None

    def _produce(self, entry: Entry, told: dict[int, Any], refused: dict[int, str]) -> None:
        def report(fault: Any, message: Any, position: int = entry.position) -> None:
            told[position] = fault

        headers = {"event_id": str(entry.event_id), "kind": entry.kind, "position": str(entry.position)}
        try:
            self.producer.produce(
                self.topic,
                key=str(entry.content["subject_id"]),
                value=entry.line(),
                headers=headers,
                on_delivery=report,
            )
        except KafkaException as fault:
            if fault.args[0].code() not in REFUSED:
                raise SinkUnavailable(fault.args[0].name()) from None
            refused[entry.position] = fault.args[0].name()
        except BufferError:
            raise SinkUnavailable("queue full") from None
        self.producer.poll(0)


def _read(value: str) -> str:
    """A setting, or what stands in the environment where it says `env:NAME`."""
    return os.environ.get(value[4:], "") if value.startswith("env:") else value
