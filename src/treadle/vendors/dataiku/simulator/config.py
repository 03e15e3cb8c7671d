"""Configuration text -> Simulation. YAML 1.2, and so JSON too; what the fields mean is in `description`."""

from __future__ import annotations

from collections.abc import Container, Mapping
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar

import fast_yaml
import msgspec
from fast_yaml.lint import lint

from treadle.vendors.dataiku.simulator.description import ConfigInvalid, Scenario, Simulation
from treadle.vendors.dataiku.simulator.faults import Fault

_T = TypeVar("_T")
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


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


def read_fault(text: str) -> Fault:
    """Read a fault as the command line takes it: `do=502,path=*/light,first=3`."""
    return _pairs(text, Fault, "fault")


def read_scenario(text: str) -> Scenario:
    """Read a scenario as the command line takes it: `id=HELLO,run_time=4,outcomes=FAILED+SUCCESS`; of project DEMO unless said."""
    return _pairs(text, Scenario, "scenario", {"project": "DEMO"}, lists=("outcomes", "tags"))


def changed(simulation: Simulation, changes: Mapping[str, Any]) -> Simulation:
    """Give a simulation with other values for some of its fields."""
    try:
        return msgspec.structs.replace(simulation, **changes)
    except ValueError as error:
        raise ConfigInvalid(str(error)) from error


def _pairs(text: str, into: type[_T], what: str, given: Mapping[str, Any] = _NOTHING, lists: Container[str] = ()) -> _T:
    """Read NAME=VALUE,NAME=VALUE. A value may hold `=`, but no comma; a list has `+` between its items."""
    values: dict[str, Any] = dict(given)
    seen: set[str] = set()
    for pair in text.split(","):
        name, equals, value = pair.partition("=")
        name = name.strip()
        if not equals or name in seen:
            wrong = f"{name!r} comes twice" if equals else f"{pair!r} is not NAME=VALUE"
            raise ConfigInvalid(f"{what} {text!r}: {wrong}")
        seen.add(name)
        values[name] = value.strip().split("+") if name in lists else value.strip()
    try:
        return msgspec.convert(values, into, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigInvalid(f"{what} {text!r}: {error}") from error


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
