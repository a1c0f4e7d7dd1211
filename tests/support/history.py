"""One migration of the main database, to be run again by a test."""

from __future__ import annotations

import importlib.util
from types import ModuleType

from epro import schema


def migration(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, schema.FOLDER / "main" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
