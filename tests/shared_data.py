"""Data that is not in the repository: `shared/data` beside the project, where it is present."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "../shared/data"


def shared(name: str) -> Path:
    """Give a path in the folder; where it is absent, skip the test, but fail it under CI."""
    path = (FOLDER / name).resolve()
    if path.exists():
        return path
    if os.environ.get("CI"):
        pytest.fail(f"{path} is absent, and CI runs every test")
    pytest.skip(f"{path} is absent")


def rows(name: str) -> list[list[str]]:
    """Give the rows of a table of tab-separated values."""
    return [line.split("\t") for line in shared(name).read_text("utf-8").splitlines()]
