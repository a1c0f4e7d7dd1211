"""Pages that describe the instruments, made from their definitions; and a definition to start from. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from epro.questionnaires.explaining import DIRECTIONS, fact_name, formula, interpretation, rule
from epro.questionnaires.instrument import Instrument, Item, Scale

LANGUAGE = "en"
MADE = "<!-- made from the definitions: change those, not this page -->"


def pages(instruments: Sequence[Instrument]) -> dict[str, str]:
    """File name -> Markdown: a page for each instrument, and `README.md`, which lists them."""
    made = {f"{one.code}-{one.version}.md": "\n".join(page(one)) + "\n" for one in instruments}
    return {"README.md": "\n".join(_index(instruments)) + "\n", **made}


def page(one: Instrument) -> Iterator[str]:
    """The page of one instrument, line by line. No text of a definition is taken for markup."""
    yield MADE
    yield from (line.replace("<", "&lt;") for line in _page(one))


def _page(one: Instrument) -> Iterator[str]:
    document = one.document()
    yield f"# {one.title[LANGUAGE]}"
    yield ""
    yield f"{one.title.get('zh-CN', '')} · `{one.code}` version {one.version}"
    yield ""
    yield from _table(("", ""), _facts(one, document))
    yield from _section("Items", _items(one, document))
    yield from _section("Choices", _choices(document))
    yield from _section("Branching and edit checks", _rules(one, document))
    for scale in one.scales:
        yield from _section(f"Score `{scale.name}`", _scale(one, scale))
    for name, table in document.get("tables", {}).items():
        yield from _section(f"Table `{name}`", _lookup(table))
    for name, grid in document.get("grids", {}).items():
        yield from _section(f"Grid `{name}`", _grid(grid))
    yield from _section("Notes", (f"- {note}" for note in document["notes"]))


def draft(code: str, items: int, codes: int) -> dict[str, Any]:
    """A definition without faults, to be changed: `items` items of `codes` choices, their mean as the score."""
    texts = {"en": "…", "zh-CN": "…"}
    names = [f"i{number:02}" for number in range(1, items + 1)]
    return {
        "format": 1,
        "code": code,
        "version": "1.0",
        "title": texts,
        "wording": {"en": {"status": "placeholder"}, "zh-CN": {"status": "placeholder"}},
        "rights": "Who owns it, and what may be shipped.",
        "recall": {"period": "P7D", "label": {"en": "past 7 days", "zh-CN": "过去7天"}},
        "choice_sets": {"level": [{"code": number, "label": _level(number)} for number in range(codes)]},
        "items": [
            {
                "id": name,
                "number": number,
                "label": texts,
                "choices": "level",
                "reversed": False,
                "not_applicable": False,
                "blinded": False,
            }
            for number, name in enumerate(names, 1)
        ],
        "scales": [
            {
                "name": "total",
                "label": {"en": "Total", "zh-CN": "总分"},
                "method": "mean",
                "method_version": 1,
                "items": names,
                "missing": {"kind": "at_least_half"},
                "range": [0, codes - 1],
                "direction": "higher_is_worse",
                "blinded": False,
            }
        ],
        "notes": ["[?] Say of each fact where it was read: [V] in the source, [M] remembered, [?] open."],
    }


def _index(instruments: Sequence[Instrument]) -> Iterator[str]:
    yield MADE
    yield "# The instruments"
    yield ""
    yield "Made from the definitions by `make docs`; structure and scoring only, never the owner's wording."
    yield ""
    rows = [
        (
            f"[{one.title[LANGUAGE].replace('<', '&lt;')}]({one.code}-{one.version}.md)",
            f"`{one.code}`",
            one.version,
            str(len(one.items)),
            ", ".join(f"`{scale.name}`" for scale in one.scales),
        )
        for one in instruments
    ]
    yield from _table(("instrument", "code", "version", "items", "scores"), rows)


def _facts(one: Instrument, document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "edition", document.get("edition", "-")
    if "recall" in document:
        yield "recall", document["recall"]["label"][LANGUAGE]
    yield "wording shipped", ", ".join(f"{tag}: {status}" for tag, status in one.wording.items())
    yield "rights", document.get("rights", "-")
    if "sdtm" in document:
        yield "SDTM", f"QSCAT `{document['sdtm']['qscat']}` ({document['sdtm']['origin']})"
    if one.derived_from:
        told = one.derived_from
        yield "derived from", f"`{told['item']}` of `{told['instrument']}` on {told['days']} days"
    yield "digest", f"`{one.digest}`"


def _items(one: Instrument, document: Mapping[str, Any]) -> Iterator[str]:
    yield "The labels are our own names for the concepts, not the wording of the instrument."
    yield ""
    rows = [
        (
            str(item.number),
            f"`{item.id}`",
            item.label[LANGUAGE],
            item.label.get("zh-CN", ""),
            f"{told['choices']} {min(item.codes)}-{max(item.codes)}",
            _marks(item, told),
            item.sdtm.qstestcd if item.sdtm else "",
        )
        for item, told in zip(one.items, document["items"], strict=True)
    ]
    yield from _table(("no.", "id", "concept", "概念", "choices", "marks", "QSTESTCD"), rows)


def _marks(item: Item, told: Mapping[str, Any]) -> str:
    turn = min(item.codes) + max(item.codes)
    marks = {
        f"reversed: {turn} - code": item.reversed,
        f"recoded by `{told.get('recode')}`": item.recode is not None,
        "may be not applicable": item.not_applicable,
        "may be refused": item.refusable,
        f"required ({item.required})": item.required,
        "blinded": item.blinded,
    }
    return ", ".join(mark for mark, holds in marks.items() if holds)


def _choices(document: Mapping[str, Any]) -> Iterator[str]:
    for name, choices in document["choice_sets"].items():
        if isinstance(choices, dict):
            ends = (choices["lowest"], choices["highest"])
            said = [f"{end['code']} {end['label'][LANGUAGE]}" for end in ends]
            yield f"- `{name}`: every whole number from {said[0]} to {said[1]}"
        else:
            yield f"- `{name}`: " + " · ".join(f"{c['code']} {c['label'][LANGUAGE]}" for c in choices)
    for name, table in document.get("recodes", {}).items():
        yield f"- recode `{name}`: " + " · ".join(f"{code} → {value}" for code, value in table.items())


def _rules(one: Instrument, document: Mapping[str, Any]) -> Iterator[str]:
    for item in one.items:
        if item.asked_if is not None:
            counts = "" if item.not_asked_as is None else f"; counts as {item.not_asked_as} when left out"
            yield f"- `{item.id}` is asked if {said(item.asked_if)}{counts}"
    for check in document.get("checks", ()):
        yield f"- {check['level']} check `{check['id']}` fails if {said(check['fails_if'])}"


def said(condition: Mapping[str, Any]) -> str:
    """A condition in words."""
    for word in ("all", "any"):
        if word in condition:
            joined = (" and " if word == "all" else " or ").join(said(part) for part in condition[word])
            return f"({joined})"
    other = f"`{condition['other_item']}`" if "other_item" in condition else condition.get("code", "")
    return f"`{condition['item']}` is {condition['is'].replace('_', ' ')} {other}".strip()


def _scale(one: Instrument, scale: Scale) -> Iterator[str]:
    how = formula(scale, LANGUAGE)
    yield f"**{scale.label[LANGUAGE]}** ({scale.label.get('zh-CN', '')}). {how['words']} `{how['symbols']}`"
    yield ""
    rows = [
        ("items", ", ".join(str(one.item(name).number) for name in scale.items)),
        ("method", f"`{scale.method}` {scale.method_version}"),
        ("missing", rule(scale, LANGUAGE)["words"]),
        ("range", f"{' to '.join(_alike(scale.range))}. {DIRECTIONS[scale.direction][LANGUAGE]}"),
        ("shown with", f"{scale.decimals} decimal{'' if scale.decimals == 1 else 's'}; stored unrounded"),
    ]
    if scale.recode:
        rows.append(("recoded", " · ".join(f"{code} → {value}" for code, value in scale.recode.items())))
    if scale.span.cuts:
        rows.append(("bands begin at", ", ".join(map(str, scale.span.cuts))))
    yield from _table(("", ""), rows)
    facts = interpretation(scale, LANGUAGE)
    if facts:
        yield ""
        told = [(fact_name(f), f["text"], f"{f['source']} [{f['certainty']}]") for f in facts]
        yield from _table(("reading it", "", "source"), told)


def _lookup(table: Mapping[str, Any]) -> Iterator[str]:
    yield f"{table['source']} [{table['certainty']}]. {table['rights']}"
    yield from (f"\n{note}" for note in table.get("notes", ()))
    yield ""
    columns = [_alike(column) for column in zip(*table["rows"], strict=True)]
    yield from _table(table["columns"], zip(*columns, strict=True))


def _alike(column: Sequence[float]) -> list[str]:
    """The numbers of a column, all with as many decimals as one of them needs: 62.0 beside 62.6."""
    places = max(len(repr(value).partition(".")[2].rstrip("0")) for value in column)
    return [f"{value:.{places}f}" for value in column]


def _grid(grid: Mapping[str, Any]) -> Iterator[str]:
    yield grid["source"]
    yield ""
    values = grid["values"]
    if not isinstance(values[0], list):
        yield from _table([str(code) for code in range(len(values))], [[str(value) for value in values]])
        return
    deep = isinstance(values[0][0], list)
    levels = enumerate(values) if deep else [(None, values)]
    for first, rows in levels:
        if first is not None:
            yield f"\nFirst attribute {first}:\n"
        head = ["", *(str(code) for code in range(len(rows[0])))]
        yield from _table(head, [[f"**{code}**", *map(str, row)] for code, row in enumerate(rows)])


def _section(title: str, lines: Iterator[str]) -> Iterator[str]:
    """A section, or nothing when it has no lines."""
    found = list(lines)
    if found:
        yield from ("", f"## {title}", "", *found)


def _table(head: Sequence[str], rows: Any) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"


def _level(number: int) -> dict[str, str]:
    return {"en": f"Level {number}", "zh-CN": f"第{number}级"}
