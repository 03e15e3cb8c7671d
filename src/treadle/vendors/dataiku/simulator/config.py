"""Configuration text -> Simulation. YAML 1.2, and so JSON too; what the fields mean is in `description`."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import fast_yaml
import msgspec
from fast_yaml.lint import lint

from treadle.vendors.dataiku.simulator.description import ConfigInvalid, Simulation


def read(text: str, source: str = "configuration") -> Simulation:
    """Build the Simulation that `text` describes; `source` begins the message of a refusal."""
    try:
        return msgspec.convert(_value(text, source), Simulation)
    except msgspec.ValidationError as error:
        raise ConfigInvalid(f"{source}: {error}") from error


def read_file(path: Path) -> Simulation:
    """Read a configuration file; one that cannot be opened is an OSError, as anywhere."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigInvalid(f"{path}: not UTF-8: {error}") from error
    return read(text, str(path))


def default_text() -> str:
    """Give the configuration of the default world: also the file to copy and change."""
    return resources.files(__package__).joinpath("default.yaml").read_text(encoding="utf-8")


def default() -> Simulation:
    """Give the default world: project DEMO, key demo-key."""
    return read(default_text(), "default.yaml")


def _value(text: str, source: str) -> Any:
    """Parse one YAML document. The parser lets the last duplicate key win, which hides typing errors; so its linter looks first."""
    try:
        documents = list(fast_yaml.safe_load_all(text))
    except ValueError as error:
        raise ConfigInvalid(f"{source}: {error}") from error
    if len(documents) != 1:
        raise ConfigInvalid(f"{source}: one YAML document is expected, {len(documents)} are there")
    for diagnostic in lint(text):
        if diagnostic.code == "duplicate-key":
            raise ConfigInvalid(f"{source}: {diagnostic.message}")
    return documents[0]
