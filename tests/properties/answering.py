"""Answers to give to instruments: whatever chance likes, and those at the borders of the rules."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import Any

from hypothesis import strategies as st

from epro.questionnaires.instrument import Instrument, Item, Scale, parse

Answers = dict[str, Any]


@cache
def open_to_all_kinds(instrument: Instrument) -> Instrument:
    """The same instrument, where every item also offers "NA" and "REFUSED"."""
    data = instrument.document()
    label = dict.fromkeys(data["wording"], "-")
    offers = {"not_applicable": True, "refusable": True}
    items = [item | offers for item in data["items"]]
    return parse(data | {"items": items, "not_applicable_label": label, "refused_label": label})


def gaps(item: Item) -> list[str | None]:
    """What may stand for no answer."""
    offers = {
        "NA": item.not_applicable,
        "REFUSED": item.refusable,
        "NOT_ASKED": item.asked_if is not None,
    }
    return [None, *(word for word, offered in offers.items() if offered)]


@cache
def answered(instrument: Instrument) -> st.SearchStrategy[Answers]:
    """Valid answers: whole ones, and ones with few or many gaps of every kind; 2.0 for 2 now and then."""
    whole, some, few = {}, {}, {}
    for item in instrument.items:
        codes = [*item.codes, float(item.codes[0])]
        given, missing = st.sampled_from(codes), st.sampled_from(gaps(item))
        whole[item.id] = given
        some[item.id] = st.sampled_from([True, True, True, False]).flatmap(
            lambda yes, a=given, b=missing: a if yes else b
        )
        few[item.id] = st.one_of(missing, given)
    return st.one_of(
        st.fixed_dictionaries(whole),
        st.fixed_dictionaries(some),
        st.fixed_dictionaries({}, optional=few),
    )


def borders(instrument: Instrument) -> Iterator[Answers]:
    """Nothing; everything at its lowest and highest; each number of answers of each scale; each sum; what branches."""
    yield {}
    for pick in (min, max):
        yield {item.id: pick(item.codes) for item in instrument.items}
        for item in instrument.items:
            yield {item.id: pick(item.codes)}
    for scale in instrument.scales:
        yield from counted(instrument, scale)
        yield from climbing(instrument, scale)
    yield from branching(instrument)


def counted(instrument: Instrument, scale: Scale) -> Iterator[Answers]:
    """The first n items of a scale answered and the others not, for every n, in codes of every height."""
    for n, step in product(range(len(scale.items) + 1), (0, 1, 2)):
        given: Answers = dict.fromkeys(scale.items)
        for at, name in enumerate(scale.items[:n]):
            codes = instrument.item(name).codes
            given[name] = codes[(step * (at + 1)) % len(codes)]
        yield given


def climbing(instrument: Instrument, scale: Scale) -> Iterator[Answers]:
    """From the least to the most, one item by one code at a time: every sum of a scale stands here."""
    items = [instrument.item(name) for name in scale.items]
    codes = {item.id: sorted(item.codes, reverse=item.reversed) for item in items}
    given = {name: one[0] for name, one in codes.items()}
    yield dict(given)
    for name in scale.items:
        for code in codes[name][1:]:
            given[name] = code
            yield dict(given)


def branching(instrument: Instrument) -> Iterator[Answers]:
    """For scales whose items may be left out: every meeting of codes at the borders and of kinds of gaps."""
    for scale in instrument.scales:
        items = [instrument.item(name) for name in scale.items]
        if any(item.asked_if for item in items):
            for given in product(*map(telling, items)):
                yield dict(zip(scale.items, given, strict=True))


def telling(item: Item) -> list[Any]:
    """Up to six codes of an item, the lowest and highest with them, and what may stand for none."""
    codes = sorted(item.codes)
    return [*codes[:5], codes[-1], *gaps(item)] if len(codes) > 6 else [*codes, *gaps(item)]
