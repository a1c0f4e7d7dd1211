"""Every fault of an instrument definition at once: its shape (JSON Schema), then what a schema cannot say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from math import prod
from typing import Any

from epro.questionnaires.methods import METHODS, Method, Span
from epro.questionnaires.parts import (
    Fault,
    as_text,
    as_whole,
    asked_about,
    dict_in,
    entries,
    items_of_scale,
    list_in,
    numbered,
    offered,
    scored_codes,
    texts_in,
)
from epro.questionnaires.shape import faults_of_shape

MOST_PATTERNS = 1 << 22  # of a scale scored by pattern: they are laid out for scoring by the million


def faults_of(data: Any) -> list[Fault]:
    """All faults of a definition as read from JSON; empty when it is good.

    The rules look at whatever part has the right shape, so that one reading of the list mends the file.
    """
    found = list(faults_of_shape(data))
    if isinstance(data, dict):
        for rule in RULES:
            found += rule(data)
    return found


def span_of(scale: dict[str, Any], data: dict[str, Any], scored: list[list[int]]) -> Span:
    """What the scale's method may know; `scored`: for each of its items the scored codes. Needs no faults."""
    lowest, highest = [min(codes) for codes in scored], [max(codes) for codes in scored]
    return Span(
        expected=len(scored),
        lowest=min(lowest),
        highest=max(highest),
        least=sum(lowest),
        most=sum(highest),
        table=_column(scale, data),
        cuts=tuple(int(cut) for cut in scale.get("cuts", ())),
        grid=_frozen(data["grids"][scale["grid"]]["values"]) if "grid" in scale else (),
    )


def _doubles(data: dict[str, Any]) -> Iterator[Fault]:
    for part, key in (("items", "id"), ("scales", "name"), ("checks", "id")):
        names = [entry.get(key) for _, entry in entries(data, part)]
        yield from _twice(f"/{part}", f"duplicate_{key}", names)
    tests = [entry.get("sdtm") for part in ("items", "scales") for _, entry in entries(data, part)]
    codes = [test.get("qstestcd") for test in tests if isinstance(test, dict)]
    yield from _twice("", "duplicate_qstestcd", codes)
    for number, scale in entries(data, "scales"):
        yield from _twice(f"/scales/{number}/items", "duplicate_item", list_in(scale, "items"))


def _references(data: dict[str, Any]) -> Iterator[Fault]:
    ids = {as_text(item.get("id")) for _, item in entries(data, "items")}
    for number, item in entries(data, "items"):
        yield from _named(f"/items/{number}", item, "choices", data, "choice_sets")
        yield from _named(f"/items/{number}", item, "recode", data, "recodes")
    for number, scale in entries(data, "scales"):
        for unknown in [name for name in list_in(scale, "items") if as_text(name) not in ids]:
            yield Fault(f"/scales/{number}/items", "unknown_item", f"No item has the id {unknown!r}.")
        yield from _named(f"/scales/{number}", scale, "recode", data, "recodes")
        yield from _named(f"/scales/{number}", scale, "grid", data, "grids")
        yield from _named(f"/scales/{number}/table", dict_in(scale, "table"), "name", data, "tables")


def _named(at: str, part: dict[str, Any], key: str, data: dict[str, Any], where: str) -> Iterator[Fault]:
    if key in part and as_text(part[key]) not in dict_in(data, where):
        one = where.removesuffix("s")
        yield Fault(f"{at}/{key}", f"unknown_{one}", f"Name one of {where}.")


def _codes(data: dict[str, Any]) -> Iterator[Fault]:
    for name, choices in dict_in(data, "choice_sets").items():
        if isinstance(choices, dict):
            lowest, highest = (as_whole(dict_in(choices, end).get("code")) for end in ("lowest", "highest"))
            if lowest >= highest:
                yield Fault(
                    f"/choice_sets/{name}", "empty_range", "The lowest code must be below the highest."
                )
            continue
        codes = [choice.get("code") for _, choice in numbered(choices)]
        yield from _twice(f"/choice_sets/{name}", "duplicate_code", codes)


def _recodes(data: dict[str, Any]) -> Iterator[Fault]:
    """A recode must say what becomes of every code of the items it is used on."""
    for number, item in entries(data, "items"):
        yield from _recoded(f"/items/{number}", item, [item], data)
        if "recode" in item and item.get("reversed") is True:
            yield Fault(
                f"/items/{number}/reversed", "reversed_twice", "A recode already says how it is scored."
            )
    for number, scale in entries(data, "scales"):
        yield from _recoded(f"/scales/{number}", scale, items_of_scale(data, scale), data)


def _recoded(
    at: str, part: dict[str, Any], items: list[dict[str, Any]], data: dict[str, Any]
) -> Iterator[Fault]:
    table = dict_in(dict_in(data, "recodes"), as_text(part.get("recode")))
    if "recode" not in part or not table:
        return
    lacking = sorted({code for item in items for code in offered(data, item) if str(code) not in table})
    if lacking:
        yield Fault(f"{at}/recode", "recode_lacks_codes", f"It says nothing of the codes {lacking}.")


def _tables(data: dict[str, Any]) -> Iterator[Fault]:
    """A table is one row for each sum, from the lowest on, as wide as its columns."""
    for name, table in dict_in(data, "tables").items():
        if not isinstance(table, dict):
            continue
        columns, rows = (
            list_in(table, "columns"),
            [row for row in list_in(table, "rows") if isinstance(row, list)],
        )
        yield from _twice(f"/tables/{name}/columns", "duplicate_column", columns)
        if any(len(row) != len(columns) for row in rows):
            yield Fault(f"/tables/{name}/rows", "uneven_rows", "Each row needs one number for each column.")
        sums = [as_whole(row[0]) for row in rows if row]
        if sums and sums != list(range(sums[0], sums[0] + len(sums))):
            yield Fault(f"/tables/{name}/rows", "sums_with_gaps", "One row for each sum, from the lowest on.")
    for number, scale in entries(data, "scales"):
        table = dict_in(dict_in(data, "tables"), as_text(dict_in(scale, "table").get("name")))
        column = dict_in(scale, "table").get("column")
        if table and column not in list_in(table, "columns")[1:]:
            yield Fault(
                f"/scales/{number}/table/column", "unknown_column", "Name one of the table's columns."
            )


def _conditions(data: dict[str, Any]) -> Iterator[Fault]:
    """A condition may ask only about items that stand before; an edit check about any."""
    before: set[str] = set()
    for number, item in entries(data, "items"):
        asked = asked_about(item.get("asked_if"))
        if asked - before:
            detail = f"It asks about {sorted(asked - before)}, which do not stand before it."
            yield Fault(f"/items/{number}/asked_if", "forward_condition", detail)
        as_code = item.get("not_asked_as")
        if "not_asked_as" in item and ("asked_if" not in item or as_code not in offered(data, item)):
            detail = "Give one of its codes, and only where asked_if may leave it out."
            yield Fault(f"/items/{number}/not_asked_as", "bad_not_asked_as", detail)
        before.add(as_text(item.get("id")))
    for number, check in entries(data, "checks"):
        if unknown := asked_about(check.get("fails_if")) - before:
            yield Fault(
                f"/checks/{number}/fails_if", "unknown_item", f"No item has the id {sorted(unknown)}."
            )


def _screens(data: dict[str, Any]) -> Iterator[Fault]:
    """Screens, where given, show every item once and in order; a grid needs one choice set."""
    if not data.get("screens"):
        return
    sets = {as_text(item.get("id")): as_text(item.get("choices")) for _, item in entries(data, "items")}
    shown = [name for _, screen in entries(data, "screens") for name in list_in(screen, "items")]
    if shown != list(sets):
        yield Fault(
            "/screens", "screens_differ", "The screens must show every item once, in the order of items."
        )
    for number, screen in entries(data, "screens"):
        if (
            screen.get("layout") == "grid"
            and len({sets.get(as_text(n)) for n in list_in(screen, "items")}) > 1
        ):
            yield Fault(f"/screens/{number}", "mixed_grid", "The items of a grid need the same choices.")


def _languages(data: dict[str, Any]) -> Iterator[Fault]:
    wanted = set(dict_in(data, "wording"))
    for pointer, texts in texts_in(data):
        for language in sorted(wanted - set(texts)):
            yield Fault(pointer, "missing_language", f"Give this text in {language}, too.")
        for language in sorted(set(texts) - wanted):
            yield Fault(pointer, "undeclared_language", f"Declare {language} under wording, or take it out.")


def _labels_of_kinds(data: dict[str, Any]) -> Iterator[Fault]:
    for flag, label, words in (
        ("not_applicable", "not_applicable_label", "'not applicable'"),
        ("refusable", "refused_label", "'prefer not to answer'"),
    ):
        offered = any(item.get(flag) is True for _, item in entries(data, "items"))
        if offered and label not in data:
            yield Fault("", f"missing_{label}", f"An item offers {words}: give its label.")


def _methods(data: dict[str, Any]) -> Iterator[Fault]:
    for number, scale in entries(data, "scales"):
        at = f"/scales/{number}"
        yield from _minimum_within_reach(at, scale)
        method = METHODS.get((as_text(scale.get("method")), as_whole(scale.get("method_version"))))
        if method is None:
            known = ", ".join(f"{name} {version}" for name, version in METHODS)
            yield Fault(f"{at}/method", "unknown_method", f"Known methods and versions: {known}.")
            continue
        faults = list(_fits(at, scale, method))
        yield from faults
        scored = [scored_codes(data, scale, item) for item in items_of_scale(data, scale)]
        if not faults and scored and all(scored) and len(scored) == len(list_in(scale, "items")):
            yield from _in_numbers(at, scale, method, scored, data)


def _fits(at: str, scale: dict[str, Any], method: Method) -> Iterator[Fault]:
    """Whether the scale gives its method what it takes, and nothing that it does not."""
    if method.items is not None and len(list_in(scale, "items")) != method.items:
        word = "one_item_needed" if method.items == 1 else "other_number_of_items"
        yield Fault(f"{at}/items", word, f"{scale['method']} takes exactly {method.items}.")
    if method.needs_all and dict_in(scale, "missing").get("kind") != "all":
        yield Fault(
            f"{at}/missing", "needs_all", f"{scale['method']} is defined on complete answers: say all."
        )
    for key in ("table", "cuts", "grid"):
        if (key in scale) != (method.takes == key):
            verb = "needs" if method.takes == key else "does not take"
            yield Fault(f"{at}/{key}", f"{key}_and_method", f"{scale['method']} {verb} {key}.")


def _in_numbers(
    at: str, scale: dict[str, Any], method: Method, scored: list[list[int]], data: dict[str, Any]
) -> Iterator[Fault]:
    """What only shows when the numbers are put in: same codes, a table's length, a grid's levels, the range."""
    if method.same_codes and len({(min(codes), max(codes)) for codes in scored}) > 1:
        yield Fault(f"{at}/items", "mixed_codes", "All its items need the same lowest and highest code.")
        return
    try:
        span = span_of(scale, data, scored)
    except (KeyError, TypeError, IndexError, ValueError, AttributeError):
        return  # an unknown table or grid, which is a fault of its own
    faults = [
        *_lookups(at, scale, span, scored, data),
        *_size(at, method, scored),
        *_domain(at, scale, span, scored),
    ]
    yield from faults
    if not faults and list(method.limits(span)) != scale.get("range"):
        found = list(method.limits(span))
        yield Fault(f"{at}/range", "wrong_range", f"By method and items the range is {found}.")


def _lookups(
    at: str, scale: dict[str, Any], span: Span, scored: list[list[int]], data: dict[str, Any]
) -> Iterator[Fault]:
    sums = [row[0] for row in data["tables"][scale["table"]["name"]]["rows"]] if "table" in scale else []
    if "table" in scale and sums != list(range(span.least, span.most + 1)):
        detail = f"It needs one row for each sum from {span.least} to {span.most}."
        yield Fault(f"{at}/table", "table_of_other_length", detail)
    if "cuts" in scale and list(span.cuts) != sorted(set(span.cuts)):
        yield Fault(f"{at}/cuts", "cuts_not_ascending", "Each cut must be above the one before.")
    elif idle := [cut for cut in span.cuts if not span.least < cut <= span.most]:
        detail = f"Of the sums {span.least} to {span.most}, none or all reach {idle}: put cuts from {span.least + 1} to"
        yield Fault(f"{at}/cuts", "cut_out_of_reach", f"{detail} {span.most}.")
    if "grid" in scale and not _has_levels(span.grid, [max(codes) + 1 for codes in scored]):
        yield Fault(
            f"{at}/grid", "grid_of_other_shape", "It needs one level for each item, a value for each code."
        )


def _domain(at: str, scale: dict[str, Any], span: Span, scored: list[list[int]]) -> Iterator[Fault]:
    """Numbers on which a method would give what it does not mean."""
    method = as_text(scale.get("method"))
    if method == "mean_to_0_100" and span.lowest == span.highest:
        yield Fault(f"{at}/items", "no_spread", "All codes are scored alike: there is nothing to stretch.")
    if method == "digits" and span.highest > 8:
        yield Fault(
            f"{at}/items", "digits_above_8", "A digit is a code from 0 to 8; 9 says that one is missing."
        )
    if method == "grade" and isinstance(span.grid, tuple) and any(_leaves(span.grid[:1])):
        yield Fault(f"{at}/grid", "grid_not_0_at_0", "Where the first attribute is 0 the grade is 0.")
    effect = {"wpai_presenteeism": 2, "wpai_overall": 3}.get(method)
    if effect is not None and (min(scored[effect]), max(scored[effect])) != (0, 10):
        yield Fault(f"{at}/items", "effect_not_0_to_10", "Its last item is the effect at work, from 0 to 10.")


def _leaves(grid: Any) -> list[Any]:
    return [leaf for part in grid for leaf in _leaves(part)] if isinstance(grid, tuple) else [grid]


def _size(at: str, method: Method, scored: list[list[int]]) -> Iterator[Fault]:
    if method.by == "pattern" and prod(len(codes) + 1 for codes in scored) > MOST_PATTERNS:
        yield Fault(f"{at}/items", "too_many_patterns", f"More than {MOST_PATTERNS} patterns of answers.")


def _has_levels(grid: Any, sizes: list[int]) -> bool:
    if not sizes:
        return type(grid) in (int, float)
    return (
        isinstance(grid, tuple) and len(grid) == sizes[0] and all(_has_levels(one, sizes[1:]) for one in grid)
    )


def _minimum_within_reach(at: str, scale: dict[str, Any]) -> Iterator[Fault]:
    k = as_whole(dict_in(scale, "missing").get("k"))
    if k > len(list_in(scale, "items")):
        yield Fault(f"{at}/missing/k", "more_than_items", "The scale has fewer items than it needs.")


def _blinding(data: dict[str, Any]) -> Iterator[Fault]:
    for number, scale in entries(data, "scales"):
        shows = scale.get("blinded") is not True
        if shows and any(item.get("blinded") is True for item in items_of_scale(data, scale)):
            yield Fault(
                f"/scales/{number}/blinded", "unblinds", "A scale with a blinded item must be blinded."
            )


RULES = (
    _doubles,
    _references,
    _codes,
    _recodes,
    _tables,
    _conditions,
    _screens,
    _languages,
    _labels_of_kinds,
    _methods,
    _blinding,
)


def _twice(pointer: str, code: str, values: Iterable[Any]) -> Iterator[Fault]:
    seen = Counter(value for value in values if isinstance(value, str | int))
    for value in [value for value, times in seen.items() if times > 1]:
        yield Fault(pointer, code, f"{value!r} stands more than once: keep one, or rename the other.")


def _column(scale: dict[str, Any], data: dict[str, Any]) -> tuple[float, ...]:
    """The wanted column of a scale's table, from the lowest sum on."""
    if "table" not in scale:
        return ()
    table = data["tables"][scale["table"]["name"]]
    at = table["columns"].index(scale["table"]["column"])
    return tuple(float(row[at]) for row in table["rows"])


def _frozen(grid: Any) -> Any:
    return tuple(_frozen(part) for part in grid) if isinstance(grid, list) else grid
