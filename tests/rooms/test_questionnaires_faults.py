"""Every fault that a definition can have is named, with its place, and nothing but a fault is ever raised."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from epro.questionnaires import faults as faults_file
from epro.questionnaires import library, shape
from epro.questionnaires import sense as sense_file
from epro.questionnaires.faults import faults_of
from epro.questionnaires.instrument import InstrumentFault

Definition = dict[str, Any]
Change = Callable[[Definition], object]


def both(text: str) -> dict[str, str]:
    return {"en": text, "zh-CN": f"{text}（中）"}


def item(name: str, choices: str = "often", **more: Any) -> dict[str, Any]:
    plain = {
        "id": name,
        "number": name.removeprefix("m"),
        "label": both(name),
        "choices": choices,
        "reversed": False,
    }
    return plain | {"not_applicable": False, "blinded": False} | more


def scale(name: str, method: str, items: list[str], limits: list[float], **more: Any) -> dict[str, Any]:
    plain = {"name": name, "label": both(name), "method": method, "method_version": 1, "items": items}
    return plain | {"missing": {"kind": "all"}, "range": limits, "direction": "none", "blinded": False} | more


@pytest.fixture
def definition() -> Definition:
    return good()


def good() -> Definition:
    """A definition that uses everything once: every kind of item, method parameter, condition and screen."""
    fact = {"kind": "note", "text": both("Fact"), "source": "ours", "certainty": "?"}
    test = {"qstestcd": "MOOD01", "qstest": "Mood", "origin": "sponsor"}
    return {
        "format": 1, "code": "mood", "version": "1.0", "title": both("Mood"), "notes": [],
        "wording": {"en": {"status": "own"}, "zh-CN": {"status": "own"}},
        "recall": {"period": "P7D", "label": both("past week")},
        "not_applicable_label": both("Not applicable"), "refused_label": both("No answer"),
        "choice_sets": {
            "often": [{"code": code, "label": both(str(code))} for code in range(4)],
            "hours": {"lowest": {"code": 0, "label": both("0")}, "highest": {"code": 10, "label": both("10")}},
            "marks": {"lowest": {"code": 0, "label": both("0")}, "highest": {"code": 250, "label": both("250")}},
        },
        "recodes": {"twice": {"0": 0, "1": 2, "2": 4, "3": 6}},
        "tables": {
            "t": {"source": "ours", "rights": "ours", "certainty": "?", "columns": ["raw", "t", "se"],
                  "rows": [[raw, 30 + 5.5 * raw, 2.5] for raw in range(7)]},
        },
        "grids": {"g": {"source": "ours", "values": [[0, 0, 0, 0], [0, 1, 1, 2], [1, 1, 2, 2], [1, 2, 2, 3]]}},
        "screens": [
            {"layout": "grid", "items": ["m1", "m2"]}, {"layout": "single", "items": ["m3"]},
            {"layout": "single", "items": ["m4"]}, {"layout": "single", "items": ["m5"]},
        ],
        "items": [
            item("m1", reversed=True, sdtm=test),
            item("m2", not_applicable=True, refusable=True,
                 asked_if={"item": "m1", "is": "above", "code": 0}, not_asked_as=0),
            item("m3", recode="twice", text=both("How?"), required="soft",
                 asked_if={"any": [{"item": "m1", "is": "answered"}, {"item": "m2", "is": "equal", "code": 1}]}),
            item("m4", "hours", blinded=True),
            item("m5", "marks"),
        ],
        "checks": [
            {"id": "odd", "level": "soft", "message": both("Sure?"),
             "fails_if": {"item": "m1", "is": "below", "other_item": "m4"}},
        ],
        "scales": [
            scale("total", "prorated_sum", ["m1", "m2"], [0, 6], missing={"kind": "at_least_half"},
                  interpretation=[fact], sdtm=test | {"qstestcd": "MOOD02"}),
            scale("t", "table", ["m1", "m2"], [30, 63], table={"name": "t", "column": "t"}),
            scale("band", "band", ["m1", "m2"], [0, 2], cuts=[2, 4]),
            scale("grade", "grade", ["m1", "m2"], [0, 3], grid="g", missing={"kind": "by_method"}),
            scale("hours", "item_value", ["m4"], [0, 10], blinded=True),
            scale("twice", "sum", ["m2"], [0, 6], recode="twice"),
        ],
    }  # fmt: skip


def faults(definition: Any) -> set[tuple[str, str]]:
    with pytest.raises(InstrumentFault) as caught:
        library.definition(definition)
    return {(fault["pointer"], fault["code"]) for fault in caught.value.errors}


def test_the_definition_that_is_broken_below_is_good(definition):
    assert library.definition(definition).document() == definition


# One change, one fault


def put(path: str, value: Any) -> Change:
    """Put a value where the JSON pointer says."""

    def change(definition: Definition) -> None:
        at, last = parent(definition, path)
        at[last] = value

    return change


def drop(path: str) -> Change:
    def change(definition: Definition) -> None:
        at, last = parent(definition, path)
        del at[last]

    return change


def add(path: str, value: Any) -> Change:
    """Append a value to the list that the JSON pointer names."""

    def change(definition: Definition) -> None:
        at, last = parent(definition, path)
        at[last].append(value)

    return change


def parent(definition: Any, path: str) -> tuple[Any, Any]:
    """What holds the place that the pointer names, and its key there."""
    *before, last = path.split("/")[1:]
    for part in before:
        definition = definition[key_in(definition, part)]
    return definition, key_in(definition, last)


def key_in(holder: Any, part: str) -> Any:
    return int(part) if isinstance(holder, list) else part


def with_two_more_marks(definition: Definition) -> None:
    """Three items of 251 codes: more patterns than can be laid out. Harmless to all other scales."""
    definition["items"] += [item("m6", "marks"), item("m7", "marks")]
    definition["screens"] += [{"layout": "single", "items": [name]} for name in ("m6", "m7")]


def with_a_check_twice(definition: Definition) -> None:
    definition["checks"] *= 2


def fact(**said: Any) -> Change:
    """Say this of the first scale, whose scores lie between 0 and 6."""
    return put(
        "/scales/0/interpretation", [{"text": both("Fact"), "source": "ours", "certainty": "?"} | said]
    )


ABOUT = {"is": "equal", "code": 1}
DIARY = {"instrument": "fatigue_diary", "item": "worst_fatigue", "days": 7}
WIDE = [[raw, 30 + raw, 2.5] for raw in range(9)]

FAULTS: list[tuple[Change, str, str]] = [
    # Names that stand twice
    (put("/items/1/id", "m1"), "/items", "duplicate_id"),
    (put("/scales/1/name", "total"), "/scales", "duplicate_name"),
    (with_a_check_twice, "/checks", "duplicate_id"),
    (put("/scales/0/sdtm/qstestcd", "MOOD01"), "", "duplicate_qstestcd"),
    (put("/scales/0/items", ["m1", "m1"]), "/scales/0/items", "duplicate_item"),
    (put("/choice_sets/often/0/code", 3), "/choice_sets/often", "duplicate_code"),
    # Names of nothing
    (put("/scales/0/items", ["m1", "m9"]), "/scales/0/items", "unknown_item"),
    (put("/checks/0/fails_if/other_item", "m9"), "/checks/0/fails_if", "unknown_item"),
    (put("/items/0/choices", "seldom"), "/items/0/choices", "unknown_choice_set"),
    (put("/items/2/recode", "thrice"), "/items/2/recode", "unknown_recode"),
    (put("/scales/5/recode", "thrice"), "/scales/5/recode", "unknown_recode"),
    (put("/scales/3/grid", "h"), "/scales/3/grid", "unknown_grid"),
    (put("/scales/1/table/name", "u"), "/scales/1/table/name", "unknown_table"),
    (put("/scales/1/table/column", "z"), "/scales/1/table/column", "unknown_column"),
    (put("/scales/1/table/column", "raw"), "/scales/1/table/column", "unknown_column"),
    (put("/scales/0/method", "eval"), "/scales/0/method", "unknown_method"),
    (put("/scales/0/method_version", 2), "/scales/0/method", "unknown_method"),
    # Codes and recodes
    (put("/choice_sets/hours/highest/code", 0), "/choice_sets/hours", "empty_range"),
    (put("/choice_sets/hours/lowest/code", 11), "/choice_sets/hours", "empty_range"),
    (put("/items/2/reversed", True), "/items/2/reversed", "reversed_twice"),
    (drop("/recodes/twice/3"), "/items/2/recode", "recode_lacks_codes"),
    (drop("/recodes/twice/0"), "/scales/5/recode", "recode_lacks_codes"),
    # Tables, cuts and grids
    (put("/tables/t/rows/3", [3, 50]), "/tables/t/rows", "uneven_rows"),
    (put("/tables/t/rows/3", []), "/tables/t/rows", "uneven_rows"),
    (put("/tables/t/rows/3/0", 9), "/tables/t/rows", "sums_with_gaps"),
    (drop("/tables/t/rows/3"), "/tables/t/rows", "sums_with_gaps"),
    (drop("/tables/t/rows/6"), "/scales/1/table", "table_of_other_length"),
    (drop("/tables/t/rows/0"), "/scales/1/table", "table_of_other_length"),
    (put("/tables/t/rows", WIDE), "/scales/1/table", "table_of_other_length"),
    (drop("/scales/1/table"), "/scales/1/table", "table_and_method"),
    (put("/scales/0/table", {"name": "t", "column": "t"}), "/scales/0/table", "table_and_method"),
    (drop("/scales/2/cuts"), "/scales/2/cuts", "cuts_and_method"),
    (put("/scales/0/cuts", [1]), "/scales/0/cuts", "cuts_and_method"),
    (put("/scales/2/cuts", [4, 2]), "/scales/2/cuts", "cuts_not_ascending"),
    (put("/scales/2/cuts", [2, 2]), "/scales/2/cuts", "cuts_not_ascending"),
    (drop("/scales/3/grid"), "/scales/3/grid", "grid_and_method"),
    (put("/scales/0/grid", "g"), "/scales/0/grid", "grid_and_method"),
    (drop("/grids/g/values/3"), "/scales/3/grid", "grid_of_other_shape"),
    (drop("/grids/g/values/3/3"), "/scales/3/grid", "grid_of_other_shape"),
    (put("/grids/g/values/3/3", [3]), "/scales/3/grid", "grid_of_other_shape"),
    (put("/grids/g/values/3", 3), "/scales/3/grid", "grid_of_other_shape"),
    (put("/grids/g/values/3/3", "3"), "/scales/3/grid", "grid_of_other_shape"),
    (put("/grids/g/values/3/3", None), "/scales/3/grid", "grid_of_other_shape"),
    (put("/grids/g/values/3/3", True), "/scales/3/grid", "grid_of_other_shape"),
    # Branching
    (put("/items/1/asked_if/item", "m3"), "/items/1/asked_if", "forward_condition"),
    (put("/items/1/asked_if/item", "m2"), "/items/1/asked_if", "forward_condition"),
    (put("/items/1/asked_if/item", "m9"), "/items/1/asked_if", "forward_condition"),
    (put("/items/2/asked_if/any/1", {"item": "m4"} | ABOUT), "/items/2/asked_if", "forward_condition"),
    (
        put("/items/2/asked_if", {"item": "m1", "is": "above", "other_item": "m5"}),
        "/items/2/asked_if",
        "forward_condition",
    ),
    (put("/items/1/not_asked_as", 4), "/items/1/not_asked_as", "bad_not_asked_as"),
    (put("/items/0/not_asked_as", 0), "/items/0/not_asked_as", "bad_not_asked_as"),
    # Without effect
    (put("/items/1/asked_if/code", 3), "/items/1/asked_if", "never_true"),
    (put("/items/1/asked_if", {"item": "m1", "is": "equal", "code": 7}), "/items/1/asked_if", "never_true"),
    (put("/items/2/asked_if/any/1/code", 9), "/items/2/asked_if/any/1", "never_true"),
    (
        put("/items/2/asked_if", {"all": [ABOUT | {"item": "m1"}, {"item": "m1", "is": "above", "code": 1}]}),
        "/items/2/asked_if",
        "never_true",
    ),
    (
        put("/items/1/asked_if", {"item": "m1", "is": "above", "other_item": "m1"}),
        "/items/1/asked_if",
        "never_true",
    ),
    (
        put("/checks/0/fails_if", {"item": "m4", "is": "above", "code": 10}),
        "/checks/0/fails_if",
        "never_true",
    ),
    (
        put("/checks/0/fails_if", {"item": "m4", "is": "below", "code": 11}),
        "/checks/0/fails_if",
        "always_true",
    ),
    (
        put("/items/1/asked_if", {"item": "m1", "is": "not_equal", "code": 4}),
        "/items/1/asked_if",
        "always_true",
    ),
    (put("/scales/5/items", ["m1"]), "/scales/5/recode", "recode_hides_item"),
    (put("/scales/5/items", ["m3"]), "/scales/5/recode", "recode_hides_item"),
    (put("/scales/2/cuts", [2, 1000]), "/scales/2/cuts", "cut_out_of_reach"),
    (put("/scales/2/cuts", [2, 7]), "/scales/2/cuts", "cut_out_of_reach"),
    (put("/scales/2/cuts", [0, 2]), "/scales/2/cuts", "cut_out_of_reach"),
    (fact(kind="cut_off", value=999), "/scales/0/interpretation/0/value", "fact_out_of_range"),
    (fact(kind="cut_off", value=-1), "/scales/0/interpretation/0/value", "fact_out_of_range"),
    (fact(kind="band", **{"from": 5, "to": 7}), "/scales/0/interpretation/0/to", "fact_out_of_range"),
    (fact(kind="norm", value=6.1), "/scales/0/interpretation/0/value", "fact_out_of_range"),
    (fact(kind="mid", value=-6.5), "/scales/0/interpretation/0/value", "fact_out_of_range"),
    (fact(kind="band", **{"from": 3, "to": 1}), "/scales/0/interpretation/0", "band_reversed"),
    (put("/items/3/label/zh-CN", " \u3000"), "/items/3/label/zh-CN", "blank_text"),
    (put("/title/en", "\u200b"), "/title/en", "blank_text"),
    (put("/choice_sets/often/2/label", both("1")), "/choice_sets/often/2/label", "same_labels"),
    (put("/choice_sets/often/2/label/en", " NO  answer"), "/refused_label", "same_labels"),
    (put("/choice_sets/hours/highest/label", both("0")), "/choice_sets/hours/highest/label", "same_labels"),
    (put("/items/3/number", 1), "/items/3/number", "duplicate_number"),
    (put("/derived_from", DIARY | {"days": 6}), "/derived_from/days", "other_number_of_days"),
    # Screens
    (drop("/screens/3"), "/screens", "screens_differ"),
    (put("/screens/3/items", ["m4"]), "/screens", "screens_differ"),
    (put("/screens/0/items", ["m2", "m1"]), "/screens", "screens_differ"),
    (put("/items/0/choices", "hours"), "/screens/0", "mixed_grid"),
    # Languages and labels
    (put("/items/2/text", {"en": "How?"}), "/items/2/text", "missing_language"),
    (put("/scales/0/label", {"en": "Total"}), "/scales/0/label", "missing_language"),
    (put("/checks/0/message", {"en": "Sure?"}), "/checks/0/message", "missing_language"),
    (put("/recall/label", {"en": "past week"}), "/recall/label", "missing_language"),
    (put("/refused_label", {"en": "No answer"}), "/refused_label", "missing_language"),
    (put("/choice_sets/often/2/label", {"en": "2"}), "/choice_sets/often/2/label", "missing_language"),
    (
        put("/choice_sets/hours/lowest/label", {"en": "0"}),
        "/choice_sets/hours/lowest/label",
        "missing_language",
    ),
    (
        put("/scales/0/interpretation/0/text", {"en": "Fact"}),
        "/scales/0/interpretation/0/text",
        "missing_language",
    ),
    (put("/title", both("Mood") | {"fr": "Humeur"}), "/title", "undeclared_language"),
    (put("/wording/fr", {"status": "own"}), "/items/4/label", "missing_language"),
    (drop("/not_applicable_label"), "", "missing_not_applicable_label"),
    (drop("/refused_label"), "", "missing_refused_label"),
    # Methods
    (put("/scales/4/items", ["m4", "m5"]), "/scales/4/items", "one_item_needed"),
    (
        put("/scales/0/method", "wpai_absenteeism"),
        "/scales/0/items",
        "other_number_of_items",
    ),
    (put("/scales/5/missing", {"kind": "more_than_half"}), "/scales/5/missing", "needs_all"),
    (put("/scales/1/missing", {"kind": "by_method"}), "/scales/1/missing", "needs_all"),
    (put("/scales/0/missing", {"kind": "at_least", "k": 3}), "/scales/0/missing/k", "more_than_items"),
    (put("/scales/0/items", ["m1", "m5"]), "/scales/0/items", "mixed_codes"),
    (put("/scales/0/range", [0, 8]), "/scales/0/range", "wrong_range"),
    (put("/scales/1/range", [30, 62]), "/scales/1/range", "wrong_range"),
    (put("/scales/2/range", [0, 3]), "/scales/2/range", "wrong_range"),
    (
        add("/scales", scale("p", "wpai_absenteeism", ["m5", "m6", "m7"], [0, 100])),
        "/scales/6/items",
        "too_many_patterns",
    ),
    (put("/items/1/blinded", True), "/scales/0/blinded", "unblinds"),
    (put("/scales/4/blinded", False), "/scales/4/blinded", "unblinds"),
    # Shape
    (put("/format", 2), "/format", "shape"),
    (put("/version", "1.x"), "/version", "shape"),
    (put("/expression", "1 + 1"), "", "shape"),
    (drop("/items/0/reversed"), "/items/0", "shape"),
    (put("/choice_sets/often/0/code", 251), "/choice_sets/often/0/code", "shape"),
    (put("/items/1/asked_if/code", 70_000), "/items/1/asked_if/code", "shape"),
    (put("/items/1/asked_if/is", "like"), "/items/1/asked_if/is", "shape"),
    (put("/items/2/asked_if", {"any": []}), "/items/2/asked_if/any", "shape"),
    (put("/recodes/twice/03", 5), "/recodes/twice", "shape"),
    (put("/scales/0/missing", {"kind": "at_least"}), "/scales/0/missing", "shape"),
    (put("/items/0/required", "perhaps"), "/items/0/required", "shape"),
    (put("/title/en", "\ud800"), "", "not_canonical"),
    (put("/scales/0/range", [0, float("nan")]), "", "not_canonical"),
    (put("/scales/0/range", [0, 2**60]), "", "not_canonical"),
]


@pytest.mark.parametrize(
    ("change", "pointer", "code"), FAULTS, ids=[f"{code} {at}" for _, at, code in FAULTS]
)
def test_a_fault_is_named_with_its_place(definition, change, pointer, code):
    with_two_more_marks(definition)
    library.definition(definition)
    change(definition)
    with pytest.raises(InstrumentFault) as caught:
        library.definition(definition)
    told = {(fault["pointer"], fault["code"]): fault["detail"] for fault in caught.value.errors}
    assert (pointer, code) in told and told[pointer, code].endswith(".")


SOLITARY = {
    "duplicate_name", "duplicate_qstestcd", "unknown_method", "reversed_twice", "needs_all",
    "cuts_not_ascending", "grid_of_other_shape", "table_of_other_length", "forward_condition", "bad_not_asked_as",
    "missing_language", "undeclared_language", "missing_refused_label", "missing_not_applicable_label",
    "wrong_range", "too_many_patterns", "unblinds", "not_canonical", "mixed_codes", "screens_differ",
    "unknown_grid", "unknown_table",
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "code"),
    [(change, code) for change, _, code in FAULTS if code in SOLITARY],
    ids=[f"{code} {at}" for _, at, code in FAULTS if code in SOLITARY],
)
def test_one_fault_does_not_drag_others_along(definition, change, code):
    with_two_more_marks(definition)
    change(definition)
    assert {found for _, found in faults(definition)} == {code}


# Every code is covered


def test_every_code_that_can_be_given_stands_in_the_table():
    told = {code for _, _, code in FAULTS} | set(UNSCORABLE) | {code for *_, code in BESIDE}
    for pattern in codes_given(sources()):
        assert any(re.fullmatch(pattern, code) for code in told), pattern
    assert {"duplicate_id", "duplicate_name"} <= told
    assert {f"unknown_{one}" for one in ("choice_set", "recode", "grid", "table")} <= told
    assert {f"missing_{label}" for label in ("not_applicable_label", "refused_label")} <= told
    assert {f"{key}_and_method" for key in ("table", "cuts", "grid")} <= told


def sources() -> ast.Module:
    read = [ast.parse(inspect.getsource(one)) for one in (faults_file, sense_file, shape)]
    return ast.Module([node for tree in read for node in tree.body], [])


def codes_given(tree: ast.Module) -> Iterator[str]:
    """The codes, as patterns, of every `Fault(pointer, code, ...)` and `_twice(pointer, code, ...)`."""
    for function in [node for node in tree.body if isinstance(node, ast.FunctionDef)]:
        named = {arg.arg for arg in function.args.args}
        for call in calls(function, {"Fault", "_twice"}):
            if not (isinstance(call.args[1], ast.Name) and call.args[1].id in named):
                yield from patterns(call.args[1], function)


def calls(tree: ast.AST, names: set[str]) -> list[ast.Call]:
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [call for call in found if isinstance(call.func, ast.Name) and call.func.id in names]


def patterns(code: ast.expr, function: ast.FunctionDef) -> list[str]:
    if isinstance(code, ast.Constant):
        return [re.escape(code.value)]
    if isinstance(code, ast.JoinedStr):
        return ["".join(part.value if isinstance(part, ast.Constant) else ".+" for part in code.values)]
    assert isinstance(code, ast.Name), (
        "a code is a word, a text with holes, or a name for one of several words"
    )
    said = [
        node.value for node in ast.walk(function) if isinstance(node, ast.Assign) and names(node) == [code.id]
    ]
    words = [node.value for value in said for node in ast.walk(value) if isinstance(node, ast.Constant)]
    return [re.escape(word) for word in words if isinstance(word, str)]


def names(assign: ast.Assign) -> list[str]:
    return [target.id for target in assign.targets if isinstance(target, ast.Name)]


def test_the_scan_of_codes_sees_them_all():
    assert len(set(codes_given(sources()))) >= 30


# Damage


def pointers(value: Any, at: str = "") -> Iterator[str]:
    """Every place in a definition but its root."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inside:
        yield f"{at}/{key}"
        yield from pointers(part, f"{at}/{key}")


PLACES = list(pointers(good()))
scraps = st.recursive(
    st.sampled_from(
        [None, True, False, 0, 1, 3, -1, 250, 251, 10**6, 0.5, "", "m1", "m9", "often", "t", "g", "x"]
    ),
    lambda inside: st.one_of(
        st.lists(inside, max_size=3),
        st.dictionaries(
            st.sampled_from(["item", "is", "code", "all", "any", "name", "lowest", "x"]), inside, max_size=3
        ),
    ),
    max_leaves=5,
)
damage = st.lists(
    st.tuples(
        st.sampled_from(PLACES), st.sampled_from(["put", "drop", "copy"]), scraps, st.sampled_from(PLACES)
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=300, deadline=None)
@given(damage)
def test_random_damage_is_either_harmless_or_named(damages):
    definition = good()
    for path, kind, scrap, other in damages:
        try:
            at, last = parent(definition, path)
            if kind == "drop":
                del at[last]
            else:
                source, key = parent(definition, other)
                at[last] = scrap if kind == "put" else deepcopy(source[key])
        except (KeyError, IndexError, TypeError, ValueError):
            continue  # an earlier damage took this place away
    readable_or_named(definition)


@settings(max_examples=50, deadline=None)
@given(scraps)
def test_scraps_of_json_are_named(scrap):
    assert faults(scrap)


def readable_or_named(definition: Any) -> None:
    try:
        library.definition(definition)
    except InstrumentFault as fault:
        assert fault.errors
        assert all(one["code"] and isinstance(one["pointer"], str) for one in fault.errors)


AWKWARD = [
    put("/items/0/choices", []),
    put("/items/1/asked_if", {"all": [{"item": 3, "is": "answered"}, {"item": "x", "is": "answered"}]}),
    put("/checks/0/fails_if", {"any": [{"item": 3, "is": "answered"}, {"item": "x", "is": "answered"}]}),
    put("/items/1/asked_if", {"all": 3}),
    put("/items/1/asked_if", {"item": []}),
    put("/items/0/id", []),
    put("/scales/0/items", [[], {}]),
    put("/scales/1/table", {"name": [], "column": {}}),
    put("/grids/g/values", [0, "a", 1, 2]),
    put("/tables/t/rows", [[0, 1, 2], ["x", 1, 2]]),
    put("/tables/t/columns", [[], {}, 3]),
    put("/recodes/twice", {"0": "x", "1": None, "2": [], "3": {}}),
    put("/screens", [{"items": [[], {}]}]),
]


@pytest.mark.parametrize("change", AWKWARD, ids=range(len(AWKWARD)))
def test_parts_of_another_kind_are_named_like_any_fault(definition, change):
    change(definition)
    assert faults(definition)


# The shape, in plain sentences

SHAPES: list[tuple[Change, str, str]] = [
    (drop("/items/0/reversed"), "/items/0", "reversed is missing: add it, true or false."),
    (drop("/scales/0/label"), "/scales/0", "label is missing: add it, the text in each language of wording."),
    (drop("/checks/0/level"), "/checks/0", 'level is missing: add it, "soft" or "hard".'),
    (drop("/format"), "", "format is missing: add it, 1."),
    (put("/items/0/reversd", True), "/items/0", 'There is no key "reversd" here: did you mean reversed? Known are'),
    (put("/recall/x", True), "/recall", 'There is no key "x" here: take them out, or use label, period.'),
    (put("/items/0/number", []), "/items/0/number", "Here stands a list: write a whole number or a text."),
    (put("/items/0/blinded", "no"), "/items/0/blinded", "Here stands a text: write true or false."),
    (put("/format", 2), "/format", "2 does not fit here: write 1."),
    (put("/items/0/required", "perhaps"), "/items/0/required",
     '"perhaps" is none of the words known here: write "soft" or "hard".'),
    (put("/items/0/sdtm/qstestcd", "1ABC"), "/items/0/sdtm/qstestcd",
     '"1ABC" does not fit here. Write at most eight capital letters, digits and underscores, no digit first.'),
    (put("/items/0/id", "M1"), "/items/0/id",
     '"M1" does not fit here. Write a name: a small letter, then small letters, digits and underscores, 40 at most.'),
    (put("/recodes/twice/03", 5), "/recodes/twice",
     'The key "03" is not such a name. Write a code in quotes, such as "3", without a zero before it.'),
    (put("/scales/0/items", []), "/scales/0/items", "Too few are listed here (0): give at least 1."),
    (put("/scales/0/range", [0, 1, 2]), "/scales/0/range", "Too many are listed here (3): give 2 at most."),
    (put("/wording", {}), "/wording", "Too few are listed here (0): give at least 1."),
    (put("/choice_sets/often/0/code", 251), "/choice_sets/often/0/code", "251 is too high: write 250 or less."),
    (put("/choice_sets/often/0/code", -1), "/choice_sets/often/0/code", "-1 is too low: write 0 or more."),
    (put("/title/en", ""), "/title/en", "This text is empty: write at least one character."),
    (put("/items/0/sdtm/qstest", "x" * 41), "/items/0/sdtm/qstest", "This text has 41 characters: write 40 at most."),
    (put("/items/1/asked_if", {"all": []}), "/items/1/asked_if/all", "Too few are listed here (0): give at least 1."),
    (put("/items/1/asked_if/is", "like"), "/items/1/asked_if/is", '"like" is none of the words known here: write'),
    (put("/items/1/asked_if", {"all": [{"item": "m1", "is": "above", "code": -1}]}), "/items/1/asked_if/all/0/code",
     "-1 is too low: write 0 or more."),
    (put("/items/1/asked_if", {"item": "m1"}), "/items/1/asked_if", "This has none of the shapes allowed here. A cond"),
    (put("/scales/0/missing", {"kind": "some"}), "/scales/0/missing", "This has none of the shapes allowed here. A m"),
    (put("/scales/0/missing", {"kind": "at_least", "k": 0}), "/scales/0/missing/k", "0 is too low: write 1 or more."),
]  # fmt: skip


@pytest.mark.parametrize(("change", "pointer", "said"), SHAPES, ids=[said[:40] for *_, said in SHAPES])
def test_a_fault_of_shape_says_what_to_write(definition, change, pointer, said):
    change(definition)
    told = [one for one in faults_of(definition) if one.code == "shape"]
    assert [one.pointer for one in told] == [pointer]
    assert told[0].detail.startswith(said) and told[0].detail.endswith(".")


def test_every_keyword_of_the_schema_has_its_sentence():
    silent = {"properties", "propertyNames", "items", "prefixItems", "if", "then", "else"}
    assert set(keywords(shape.schema())) - silent == set(shape.SENTENCES) - {"anyOf"}


def keywords(part: dict[str, Any]) -> Iterator[str]:
    yield from part.keys() & Draft202012Validator.VALIDATORS.keys() - {"$ref"}
    maps = [one for key in ("properties", "$defs") for one in part.get(key, {}).values()]
    lists = [one for key in ("oneOf", "prefixItems") for one in part.get(key, ())]
    ones = [
        part[key] for key in ("items", "additionalProperties", "propertyNames", "then", "else") if key in part
    ]
    for inner in [one for one in [*maps, *lists, *ones] if isinstance(one, dict)]:
        yield from keywords(inner)


# Beside other instruments

BESIDE = [
    ({"instrument": "fatigue_dairy"}, "/derived_from/instrument", "unknown_instrument"),
    ({"item": "best_fatigue"}, "/derived_from/item", "unknown_item"),
    ({"instrument": "gad7", "item": "gad01"}, "/items/0/choices", "other_codes"),
    ({"days": 6}, "/derived_from/days", "other_number_of_days"),
]


@pytest.mark.parametrize(("changed", "pointer", "code"), BESIDE, ids=[code for *_, code in BESIDE])
def test_days_of_what_there_is_not_are_named(changed, pointer, code):
    weekly = library.bundled_instrument("fatigue_diary_weekly").document()
    weekly["derived_from"] |= changed
    weekly["scales"][0]["range"] = [0, 99]
    with pytest.raises(InstrumentFault) as caught:
        library.definition(weekly)
    told = {(one["pointer"], one["code"]): one["detail"] for one in caught.value.errors}
    assert told[pointer, code].endswith(".") and ("/scales/0/range", "wrong_range") in told


@pytest.mark.parametrize("one", library.bundled(), ids=lambda one: one.code)
def test_every_bundled_definition_is_good_beside_the_others(one):
    assert library.definition(one.document()) == one


# Accepted, and then scored wrongly or not at all

UNSCORABLE = {
    "no_spread": [  # divided by nothing
        put("/recodes/twice", {"0": 5, "1": 5, "2": 5, "3": 5}),
        put("/scales/5/method", "mean_to_0_100"),
        put("/scales/5/range", [0, 100]),
    ],
    "digits_above_8": [  # they run into each other, and into 9 for missing
        add("/scales", scale("p", "digits", ["m4"], [0, 9], blinded=True)),
    ],
    "grid_not_0_at_0": [  # which scoring does not heed
        put("/grids/g/values", [[1, 1, 1, 1], [1, 1, 1, 2], [1, 1, 2, 2], [1, 2, 2, 3]]),
        put("/scales/3/range", [1, 3]),
    ],
    "effect_not_0_to_10": [  # impaired beyond 100 per cent
        add("/scales", scale("p", "wpai_presenteeism", ["m1", "m2", "m5"], [0, 100])),
    ],
    "duplicate_column": [  # it may mean the sums
        put("/tables/t/columns", ["raw", "raw", "se"]),
        put("/scales/1/table/column", "raw"),
        put("/scales/1/range", [0, 6]),
    ],
}


@pytest.mark.parametrize(("code", "changes"), UNSCORABLE.items(), ids=UNSCORABLE)
def test_what_cannot_be_scored_is_not_accepted(definition, code, changes):
    for change in changes:
        change(definition)
    assert code in {found for _, found in faults(definition)}
