"""A study file's text as plain data, with the line of every value. The one place that knows YAML.

YAML has surprises, so only its plain core is taken. `true`, `false`, `null` and numbers are read as such;
everything else is text: `no` is a language, `18:00` an hour and `2026-03-01` what it looks like. A key given
twice is a fault, not a silent overwrite. Aliases and tags are refused: a reviewer reads what stands there, and
a short file cannot unfold into a huge one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import yaml

MAX_CHARACTERS = 256 * 1024
MAX_DEPTH = 20

Path = tuple[str | int, ...]

_WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,8})")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,8})\.[0-9]{1,6}")


@dataclass(frozen=True)
class Fault:
    """One fault of a study file.

    `place` is a JSON pointer into the file, `line` counts from 1, `code` is stable for programs, `message` says
    what is wrong and `mend` what to do about it.
    """

    place: str
    line: int
    code: str
    message: str
    mend: str


@dataclass
class Source:
    """A file that could be read: its data, where each value stands, and the faults found while reading."""

    data: Any
    lines: dict[Path, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def fault(self, path: Path, code: str, message: str, mend: str) -> Fault:
        return Fault(pointer(path), self.line(path), code, message, mend)

    def line(self, path: Path) -> int:
        """The line of the value, or of the nearest thing around it that is there."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def pointer(path: Iterable[str | int]) -> str:
    """The path as a JSON pointer (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def parse(text: str) -> Source:
    """Read the text. What cannot be read at all comes back as `data` None and the one fault that stopped it."""
    if len(text) > MAX_CHARACTERS:
        return _unreadable(1, "too_large", f"the file has {len(text)} characters", _TOO_LARGE)
    try:
        return _read(text)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        return _unreadable(line, "not_yaml", "a character stands here that text may not hold", _CHARACTER)
    except yaml.MarkedYAMLError as error:
        return _not_yaml(error)


_TOO_LARGE = f"A study file has at most {MAX_CHARACTERS} characters; wording lives in files of its own."
_CHARACTER = "Save the file as plain UTF-8 text and take the character out."


def _read(text: str) -> Source:
    source = Source(None)
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
    finally:
        loader.dispose()
    if node is not None:
        source.data = _Builder(source, loader.refused).value(node, (), _line(node))
    return source


def _unreadable(line: int, code: str, message: str, mend: str) -> Source:
    return Source(None, faults=[Fault("", line, code, message, mend)])


def _not_yaml(error: yaml.MarkedYAMLError) -> Source:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    problem = error.problem or error.context or "it ends too early"
    return _unreadable(line, "not_yaml", f"this is not YAML (column {column}): {problem}", _mend(problem))


def _mend(problem: str) -> str:
    if "\\t" in problem:
        return "Indent with spaces, not with tabs."
    if "mapping values are not allowed" in problem:
        return "Put text that holds a colon and a space in quotes, and check the indentation."
    if "another document" in problem or "document start" in problem:
        return "One file holds one study: take out the line of dashes and what follows."
    if problem == _TOO_DEEP:
        return "Nothing in a study file is nested that deep; check the brackets."
    return "Check the indentation, the quotes and the brackets on this line and the one before."


_TOO_DEEP = "nested too deep"


_MENDS = {
    "alias": "Write it out here, or say it once under defaults.",
    "yaml_tag": "Take it out; put text in quotes instead.",
}


class _Loader(yaml.SafeLoader):
    """Composes nodes; remembers aliases and tags, which are refused, and stops at too great a depth."""

    def __init__(self, text: str):
        super().__init__(text)
        self.refused: dict[int, tuple[str, str]] = {}  # by the node's identity: code and message
        self.depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            return self._alias(self.get_event())
        event: Any = self.peek_event()
        if self.depth > MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem=_TOO_DEEP, problem_mark=event.start_mark)
        self.depth += 1
        try:
            node = super().compose_node(parent, index)
        finally:
            self.depth -= 1
        if event.tag is not None:
            self.refused[id(node)] = ("yaml_tag", f"{event.tag} is a YAML tag")
        return node

    def _alias(self, event: Any) -> yaml.Node:
        node = yaml.ScalarNode("", "", event.start_mark, event.end_mark)
        self.refused[id(node)] = ("alias", f"*{event.anchor} stands for text elsewhere")
        return node


@dataclass
class _Builder:
    """Turns nodes into plain data, noting lines and faults in the source as it goes."""

    source: Source
    refused: dict[int, tuple[str, str]]

    def value(self, node: yaml.Node, path: Path, line: int) -> Any:
        self.source.lines[path] = line
        if self._is_refused(node, path):
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, n), _line(item)) for n, item in enumerate(node.value)]
        return _scalar(node)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key, line = _key(key_node), _line(key_node)
            if self._is_refused(key_node, path):
                continue
            if key in data:
                self._given_twice((*path, key), line)
                continue
            data[key] = self.value(value_node, (*path, key), line)
        return data

    def _is_refused(self, node: yaml.Node, path: Path) -> bool:
        if id(node) not in self.refused:
            return False
        code, message = self.refused[id(node)]
        self.source.faults.append(Fault(pointer(path), _line(node), code, message, _MENDS[code]))
        return True

    def _given_twice(self, path: Path, line: int) -> None:
        message = f"{path[-1]} is given twice; the first is in line {self.source.lines[path]}"
        self.source.faults.append(Fault(pointer(path), line, "duplicate_key", message, "Keep one of them."))


def _key(node: yaml.Node) -> str:
    value: Any = node.value
    return value if isinstance(value, str) else "(a list or mapping)"  # unknown to the schema, so it is told


def _line(part: yaml.Node | yaml.Event) -> int:
    return part.start_mark.line + 1 if part.start_mark else 1


def _scalar(node: yaml.Node) -> Any:
    text: str = node.value
    if getattr(node, "style", None) is not None:  # in quotes, or a block
        return text
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) else text
