"""Our scoring methods in FHIRPath, for the programs that calculate in a form. Pure.

The scores on record are computed here, by `questionnaires.scoring`; these expressions are published so that
others can follow them, and are checked against ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from epro.export.fhir_branching import counted
from epro.questionnaires.instrument import Instrument, Item, Scale
from epro.questionnaires.methods import METHODS


class Formula(NamedTuple):
    """A score in FHIRPath: its variables (name -> expression) and the expression over them."""

    variables: dict[str, str]
    expression: str


def formula(instrument: Instrument, scale: Scale) -> Formula | None:
    """The scale in FHIRPath; None where its method has no such form."""
    said = SAID.get((scale.method, scale.method_version))
    if said is None:
        return None
    items = [instrument.item(name) for name in scale.items]
    if METHODS[scale.method, scale.method_version].by == "pattern":
        named = {f"x{number}": _scored(instrument, scale, item) for number, item in enumerate(items, 1)}
        enough = " + ".join(f"%{name}.count()" for name in named)
        return Formula(named, _if_enough(enough, scale, said(scale)))
    return Formula({"x": _all(instrument, scale, items)}, _if_enough("%x.count()", scale, said(scale)))


def _if_enough(answered: str, scale: Scale, value: str) -> str:
    return f"iif({answered} >= {scale.missing.minimum(len(scale.items))}, {value}, {{}})"


def _all(instrument: Instrument, scale: Scale, items: list[Item]) -> str:
    """The scored codes of the answered items, one for each."""
    plain = [item for item in items if _weighs(scale, item)]
    parts = []
    if plain:
        names = " | ".join(f"'{item.id}'" for item in plain)
        parts.append(f"%resource.item.where(linkId in ({names})).answer.value.weight()")
    parts += [_scored(instrument, scale, item) for item in items if item not in plain]
    first, *others = parts
    return first + "".join(f".combine({part})" for part in others)


def _weighs(scale: Scale, item: Item) -> bool:
    """Whether the weights on its answer options are all there is to say."""
    return scale.recode is None and not item.numeric and item.not_asked_as is None


def _scored(instrument: Instrument, scale: Scale, item: Item) -> str:
    """One item's scored code, or nothing."""
    if _weighs(scale, item):
        return f"%resource.item.where(linkId = '{item.id}').answer.value.weight()"
    table = scale.recode if scale.recode is not None else item.scored_codes
    answered = counted(instrument, item)
    turned = {code: table[code] for code in item.codes}
    if all(code == scored for code, scored in turned.items()):
        return f"({answered})"
    turn = min(item.codes) + max(item.codes)
    if all(turn - code == scored for code, scored in turned.items()):
        return f"({answered}).select({turn} - $this)"
    return f"({answered}).select({_looked_up(turned)})"


def _looked_up(table: Mapping[int, int]) -> str:
    told = "{}"
    for code, scored in reversed(list(table.items())):
        told = f"iif($this = {code}, {scored}, {told})"
    return told


def _list(values: object) -> str:
    """Numbers as a text that is taken apart: FHIRPath has no list that keeps order and repetition."""
    return "'" + ",".join(str(value) for value in values) + "'.split(',')"  # type: ignore[attr-defined]


def _grade(scale: Scale) -> str:
    """The place in the grid, laid out in one row. Without a first attribute nothing is asked of it."""
    values, depth = _flat(scale.span.grid), len(scale.items)
    width = round(len(values) ** (1 / depth))
    place = " + ".join(f"%x{number} * {width ** (depth - number)}" for number in range(1, depth + 1))
    found = f"{_list(values)}[{place}].toDecimal()"
    whole = " and ".join(f"%x{number}.exists()" for number in range(1, depth + 1))
    return f"iif(%x1 = 0, 0, iif({whole}, {found}, {{}}))"


def _flat(grid: object) -> list[object]:
    return [value for part in grid for value in _flat(part)] if isinstance(grid, tuple) else [grid]


def _digits(scale: Scale) -> str:
    last = len(scale.items)
    return " + ".join(
        f"iif(%x{number}.exists(), %x{number}, 9) * {10 ** (last - number)}" for number in range(1, last + 1)
    )


def _of_hours(value: str) -> str:
    """For who is employed and has told both her hours."""
    return f"iif(%x1 = 0, {{}}, iif(%x2.exists() and %x3.exists(), {value}, {{}}))"


SAID: dict[tuple[str, int], Callable[[Scale], str]] = {
    ("mean_to_0_100", 1): lambda scale: (
        f"(%x.sum() - {scale.span.lowest} * %x.count()) * 100"
        f" / ({scale.span.highest - scale.span.lowest} * %x.count())"
    ),
    ("prorated_sum", 1): lambda scale: f"%x.sum() * {scale.span.expected} / %x.count()",
    ("mean", 1): lambda _: "%x.sum() / %x.count()",
    ("item_value", 1): lambda _: "%x.sum()",
    ("sum", 1): lambda _: "%x.sum()",
    ("table", 1): lambda scale: f"{_list(scale.span.table)}[%x.sum() - {scale.span.least}].toDecimal()",
    ("band", 1): lambda scale: " + ".join(f"iif(%x.sum() >= {cut}, 1, 0)" for cut in scale.span.cuts),
    ("one_minus_thousandths", 1): lambda _: "(1000 - %x.sum()) / 1000",
    ("count", 1): lambda _: "%x.count()",
    ("highest", 1): lambda _: "%x.aggregate(iif($total.empty(), $this, iif($this > $total, $this, $total)))",
    ("digits", 1): _digits,
    ("grade", 1): _grade,
    ("wpai_absenteeism", 1): lambda _: _of_hours("iif(%x2 + %x3 > 0, 100 * %x2 / (%x2 + %x3), {})"),
    ("wpai_presenteeism", 1): lambda _: "iif(%x1 = 0 or %x2 = 0 or %x3.empty(), {}, %x3 * 100 / 10)",
    ("wpai_overall", 1): lambda _: _of_hours(
        "iif(%x2 + %x3 = 0, {}, iif(%x3 = 0, 100, iif(%x4.exists(),"
        " (1000 * %x2 + 100 * %x3 * %x4) / (10 * (%x2 + %x3)), {})))"
    ),
}
"""Method and version -> the value, given that enough items were answered."""
