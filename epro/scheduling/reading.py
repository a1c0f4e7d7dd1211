"""From the text of a study file to a protocol, or to every fault in it at once."""

from __future__ import annotations

from epro.scheduling.checks import Draft, Guard, Instruments, check_rules
from epro.scheduling.contradictions import check_contradictions
from epro.scheduling.message_checks import check_messages
from epro.scheduling.pairs import check_pairs
from epro.scheduling.protocol import FORMAT, Protocol, with_defaults
from epro.scheduling.shape import check_shape
from epro.scheduling.source import Fault, Source, parse


def read(
    text: str, known_instruments: Instruments | None = None, guard: Guard | None = None
) -> tuple[Protocol | None, list[Fault]]:
    """The protocol and no fault, or None and every fault, in the order of the lines.

    `known_instruments` gives the languages in which each (code, version) is worded, `guard` says what is wrong with
    the words of a message; None asks nothing about them. Never raises for what stands in the text.
    """
    source = parse(text)
    faults = source.faults or []
    if not isinstance(source.data, dict):
        return None, faults or [_no_study(source)]
    if (wrong := _wrong_format(source)) is not None:
        return None, [wrong]
    shape, sound = check_shape(source)
    refused = {fault.place for fault in faults if fault.code != "duplicate_key"}  # told once already
    shape = [fault for fault in shape if fault.place not in refused]
    draft = Draft(sound, source, known_instruments, guard)
    ruled = [check_rules, check_contradictions, check_pairs, check_messages]
    faults = _tidy(faults + shape + [fault for check in ruled for fault in check(draft)])
    return (None, faults) if faults else (Protocol.from_canonical(with_defaults(source.data)), [])


def _no_study(source: Source) -> Fault:
    if source.data is None:
        return source.fault(
            (), "empty_file", "there is nothing in this file", "Start with format: 1 and study:."
        )
    message = "this is not a study file: it has no keys and values at its top"
    return source.fault((), "wrong_type", message, "Start with format: 1 and study:.")


def _wrong_format(source: Source) -> Fault | None:
    """A file of another format is told as that and no further: this schema has nothing to say about it."""
    written = source.data.get("format", FORMAT)
    if written == FORMAT and not isinstance(written, bool):
        return None
    message = f"this program reads format {FORMAT}, not {written!r}"
    return source.fault(("format",), "wrong_format", message, f"Write format: {FORMAT}, without quotes.")


def _tidy(faults: list[Fault]) -> list[Fault]:
    """Each fault once, though several assessments may meet it in the defaults; in the order of the lines."""
    once = {(fault.place, fault.line, fault.code): fault for fault in reversed(faults)}
    return sorted(once.values(), key=lambda fault: (fault.line, fault.place, fault.code))
