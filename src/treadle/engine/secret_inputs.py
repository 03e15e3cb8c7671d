"""Which inputs are secret: by their names, and by what their schemas say of them."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from treadle.engine.inputs import properties

SECRET_NAME = re.compile(
    r"(password|passphrase|passwd|pwd|secret|jwt|credentials?|(api|access|secret|private|subscription)[-_]?key"
    # A token that marks a place in a list is none that opens anything.
    r"|(?<!page)(?<!page[-_])(?<!next)(?<!next[-_])(?<!sync)(?<!sync[-_])(?<!continuation)(?<!continuation[-_])token"
    r"|client[-_]?assertion|authorization)$",
    re.IGNORECASE,
)
MAX_DEPTH = 50
"""How deep in an input secrets are looked for."""


def is_secret(name: str, schema: Any) -> bool:
    """Say whether an input is one whose value is never shown."""
    marked = isinstance(schema, dict) and (schema.get("format") == "password" or schema.get("writeOnly") is True)
    return bool(SECRET_NAME.search(name)) or marked


def secret_values(inputs: Mapping[str, Any], names: Iterable[str], schema: Any) -> list[Any]:
    """Give the values of the inputs of these names, and of all that is secret inside of others.

    Args:
        inputs: the inputs, by name.
        names: those that are secret as a whole.
        schema: the schema of the inputs, with everything that it refers to.
    """
    whole = names if isinstance(names, frozenset) else set(names)
    found = []
    others = {}
    for name, value in inputs.items():
        if name in whole:
            found.append(value)
        elif type(value) is not str:
            others[name] = value
    if others:
        found += _inside(others, schema, schema, 0)
    return found


def _inside(value: Any, schema: Any, root: Any, depth: int) -> Iterator[Any]:
    if depth > MAX_DEPTH:
        return
    if isinstance(value, list):
        items = schema.get("items") if isinstance(schema, dict) else None
        for item in value:
            yield from _inside(item, items, root, depth + 1)
    elif isinstance(value, dict):
        declared = properties(schema, root) or {} if isinstance(schema, dict) else {}
        for name, entry in value.items():
            if depth and is_secret(name, declared.get(name)):
                yield entry
            else:
                yield from _inside(entry, declared.get(name), root, depth + 1)
