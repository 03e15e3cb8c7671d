"""Reads the suite's own YAML files as YAML 1.2 (core schema): `no`, `on` and dates stay texts, keys are unique."""

import re
from pathlib import Path
from typing import Any

import yaml


class SuiteInvalid(Exception):
    """A file of the suite is not as it must be; the message says which, and what to do."""


class _Loader(yaml.SafeLoader):
    """The core schema of YAML 1.2 in place of the types of YAML 1.1."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - the name and kind are PyYAML's


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            key = key_node.value
        if key in found:
            raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} is there twice", key_node.start_mark)
        found[key] = loader.construct_object(value_node, deep=True)
    return found


def _integer(_loader: _Loader, node: yaml.ScalarNode) -> int:
    text = str(node.value)
    return int(text, 0) if text.startswith(("0o", "0x")) else int(text)


def _number(_loader: _Loader, node: yaml.ScalarNode) -> float:
    text = str(node.value).lower()
    return float(text.replace(".inf", "inf").replace(".nan", "nan"))


_KINDS = {
    "null": ("|~|null|Null|NULL", ["~", "n", "N", ""]),
    "bool": ("true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": ("[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    "float": (
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
}
for _kind, (_pattern, _first) in _KINDS.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(f"^(?:{_pattern})$"), _first)
_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
_Loader.add_constructor("tag:yaml.org,2002:int", _integer)
_Loader.add_constructor("tag:yaml.org,2002:float", _number)


def read(path: Path) -> Any:
    """Give what a YAML file holds.

    Raises:
        SuiteInvalid: it is not there, or no YAML.
    """
    try:
        return yaml.load(path.read_text("utf-8"), _Loader)  # noqa: S506 - a subclass of SafeLoader
    except OSError as error:
        raise SuiteInvalid(f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SuiteInvalid(f"{path}: {error}") from error
