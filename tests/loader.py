"""Cases are data: a YAML file under tests/cases is a list of objects, each with an `id`."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import fast_yaml
import pytest

CASES = Path(__file__).parent / "cases"


@lru_cache
def table(name: str) -> Any:
    """Give what a file under tests/cases holds."""
    return fast_yaml.safe_load((CASES / name).read_text("utf-8"))


def cases(name: str) -> list[Any]:
    """Give the cases of a table as parameters of a test, by their ids."""
    entries = table(name)
    ids = [entry["id"] for entry in entries]
    assert len(set(ids)) == len(ids), f"{name}: two cases of one id: {sorted(i for i in ids if ids.count(i) > 1)}"
    return [pytest.param(entry, id=str(entry["id"])) for entry in entries]
