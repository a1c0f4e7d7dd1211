"""The ring of key-encryption keys: from the environment, or from a file that nobody else may read.

The file is looked at again whenever it has changed, so that a running server follows a rotation.
"""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from epro import db
from epro.config import SHORTEST_KEY, ConfigurationError
from epro.contacts.sealing import DERIVED, key_ring
from epro.errors import Conflict

_read: dict[str, tuple[tuple[int, ...], str]] = {}


def held() -> dict[str, bytes]:
    """Key id → key, newest first; the derived one, "0", is always the last."""
    settings = db.settings()
    return key_ring(_setting(settings), settings["SECRET_KEY"] or "")


def add() -> str:
    """Put a new key on top of the file's ring; its id."""
    path = _path()
    names = [line.partition(":")[0] for line in _lines(path)] if path.exists() else []
    name = str(max((int(one) for one in names if one.isdigit()), default=0) + 1)
    _write(path, [f"{name}:{secrets.token_urlsafe(48)}", *(_lines(path) if path.exists() else [])])
    return name


def remove(name: str) -> None:
    """Take a key out of the file's ring."""
    path = _path()
    kept = [line for line in _lines(path) if line.partition(":")[0] != name]
    if len(kept) == len(_lines(path)):
        raise Conflict(f"There is no key {name} in the file.")
    _write(path, kept)


def _setting(settings: dict[str, str | None]) -> str | None:
    file = settings["CONTACTS_KEYS_FILE"]
    return ",".join(_lines(Path(file))) if file else settings["CONTACTS_KEYS"]


def _path() -> Path:
    file = db.settings()["CONTACTS_KEYS_FILE"]
    if not file and db.settings()["CONTACTS_KEYS"]:
        raise Conflict("The keys stand in EPRO_CONTACTS_KEYS: change it there, in web and worker.")
    if not file:
        raise Conflict(
            "No keys are set: the one in use is derived from EPRO_SECRET_KEY. Name a file in EPRO_CONTACTS_KEYS_FILE,"
            " for web and worker too, and call `epro keys rotate --new` again."
        )
    return Path(file)


def _lines(path: Path) -> list[str]:
    try:
        found = path.stat()
        mark = (found.st_ino, found.st_mtime_ns, found.st_size, found.st_mode)
        if _read.get(str(path), ((), ""))[0] != mark:
            _read[str(path)] = (mark, path.read_text(encoding="utf-8"))
    except OSError as fault:
        raise ConfigurationError(f"EPRO_CONTACTS_KEYS_FILE cannot be read ({type(fault).__name__})") from None
    if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigurationError("EPRO_CONTACTS_KEYS_FILE is open to others: chmod 600")
    lines = [line.strip() for line in _read[str(path)][1].splitlines() if line.strip()]
    if any(not _is_key(line) for line in lines):
        raise ConfigurationError(
            "EPRO_CONTACTS_KEYS_FILE has a line that is not `id:secret` with 32 characters"
        )
    return lines


def _is_key(line: str) -> bool:
    name, _, secret = line.partition(":")
    return bool(name) and name != DERIVED and "," not in line and len(secret) >= SHORTEST_KEY


def _write(path: Path, lines: list[str]) -> None:
    """All of the file or none: written beside it, flushed, and put in its place."""
    beside = path.with_name(path.name + ".new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write("".join(f"{line}\n" for line in lines))
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
