"""Every code for why a message did not go out, gathered from the code that writes it down."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from epro.notifications import ways
from epro.notifications.senders import aliyun_http, twilio_http, web_push

ROOM = Path("epro/notifications")
SENDERS = [*sorted((ROOM / "senders").glob("*.py")), ROOM / "sending.py"]


def withheld() -> set[str]:
    """The reasons for which a message is withheld, or is not tried again."""
    rules, sending, erasing = map(
        _tree, (ROOM / "rules.py", ROOM / "sending.py", Path("epro/privacy/erasing.py"))
    )
    found = {
        text for name in UNWANTED for text in _texts(_function(rules, name)) if text.isidentifier()
    } - PURPOSES
    found |= set(_beside_or(sending)) | set(_told_to(erasing, "withhold"))
    carriers = _tree(ROOM / "carriers" / "__init__.py")
    return found | {ways.CIRCUIT_OPEN} | {text for text in _texts(carriers) if text.startswith("carrier_")}


def refused() -> set[str]:
    """What providers, networks and workers that are gone leave of a message."""
    found = {
        code
        for table in (twilio_http.MEANINGS, aliyun_http.MEANINGS, web_push.MEANINGS)
        for code, _ in table.values()
    }
    for file in SENDERS:
        tree = _tree(file)
        for function in _functions(tree):
            for call in _calls(function, ("SendFailed", "SendUnknown")):
                found |= set(_said_by(call.args[0], function, tree))
    return found | set(_reasons(_tree(ROOM / "sending.py")))


UNWANTED = ("unwanted", "_reminder_unwanted", "_alert_message_unwanted")
PURPOSES = {"reminder", "escalation", "handed_over"}


def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def _functions(tree: ast.AST) -> list[ast.FunctionDef]:
    return [one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef)]


def _function(tree: ast.AST, name: str) -> ast.FunctionDef:
    return next(one for one in _functions(tree) if one.name == name)


def _calls(tree: ast.AST, names: tuple[str, ...]) -> Iterator[ast.Call]:
    for one in ast.walk(tree):
        if isinstance(one, ast.Call) and _name(one.func) in names:
            yield one


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _texts(tree: ast.AST) -> Iterator[str]:
    """Its single words."""
    for one in ast.walk(tree):
        if isinstance(one, ast.Constant) and isinstance(one.value, str) and " " not in one.value:
            yield one.value


def _beside_or(tree: ast.AST) -> Iterator[str]:
    """`reason or "this"`."""
    for one in ast.walk(tree):
        if isinstance(one, ast.BoolOp) and _name(one.values[0]) == "reason":
            yield from _texts(one)


def _told_to(tree: ast.AST, name: str) -> Iterator[str]:
    for call in _calls(tree, (name,)):
        yield from (text for argument in call.args for text in _texts(argument))


def _reasons(tree: ast.AST) -> Iterator[str]:
    """`reason="this"`."""
    for one in ast.walk(tree):
        if isinstance(one, ast.keyword) and one.arg == "reason":
            yield from (_texts(one.value) if isinstance(one.value, ast.Constant) else ())


def _said_by(node: ast.expr, *within: ast.AST) -> Iterator[str]:
    """The words that this may be; of a name those that the function or its module gives it."""
    if isinstance(node, ast.Name):
        given = [one for tree in within for one in ast.walk(tree) if isinstance(one, ast.Assign)]
        for one in given:
            if node.id in ast.unparse(one.targets[0]).strip("()").split(", "):
                yield from (text for text in _texts(one.value) if text.isidentifier())
    elif not isinstance(node, ast.JoinedStr):
        yield from _texts(node)
