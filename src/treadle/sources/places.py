"""Where an operation stands in a description: its Path Item with all that this refers to, and what applies to it."""

from typing import Any, NamedTuple

from treadle.sources.references import Registry, Resolved


class PathItem(NamedTuple):
    """A Path Item: the object under the path, and those that its `$ref` leads to, one after the other.

    Fields beside a `$ref` count too, as all versions have it; where one stands in both, "the behavior is undefined", and
    the one that stands nearer to the path wins.
    """

    layers: tuple[Resolved, ...]

    def field(self, name: str) -> Resolved | None:
        """Give a field with the base of the object it stands in, or None where no object has it."""
        for value, base in self.layers:
            if name in value:
                return Resolved(value[name], base)
        return None


class Place(NamedTuple):
    """An operation where it stands.

    Attributes:
        root: the description.
        item: the Path Item it stands in.
        operation: the Operation Object.
        parameters: the Parameter Objects that apply to it; an operation's own stand in for those of its Path Item.
    """

    root: Resolved
    item: PathItem
    operation: Resolved
    parameters: tuple[Resolved, ...] = ()


def path_item(value: Any, base: str, registry: Registry) -> PathItem:
    """Read a Path Item; raises like `Registry.resolve`."""
    if isinstance(value, dict) and "$ref" not in value:
        return PathItem((Resolved(value, base),))
    return PathItem(tuple(layer for layer in registry.chain(value, base) if isinstance(layer.value, dict)))


def found_at(base: str) -> str:
    """Give where the document was found that a base URI belongs to."""
    document = getattr(base, "document", None)
    return base if document is None else str(document.uri)


def mapping(value: Any) -> dict[str, Any]:
    """Give a value that should be an object, or an empty one in its place."""
    return value if isinstance(value, dict) else {}


def sequence(value: Any) -> list[Any]:
    """Give a value that should be an array, or an empty one in its place."""
    return value if isinstance(value, list) else []
