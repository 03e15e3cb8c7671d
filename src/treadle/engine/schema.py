"""The JSON Schema of a workflow's inputs (2020-12), made to stand alone: what its references reach is put into it.

A document is untrusted: a reference never leads out of it, and what a schema unfolds to is bounded.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import unquote, urldefrag, urljoin

from treadle import pointer
from treadle.errors import InputsInvalid
from treadle.pointer import Path

MAX_PARTS = 50_000
"""How many schemas a schema may be made of, with everything its references reach."""
MAX_UNFOLDED = 10_000
"""How many schemas may apply to one value, when references and combinations (`allOf` and the like) are unfolded."""

_MAPS = frozenset({"properties", "patternProperties", "dependentSchemas", "$defs", "definitions"})
_LISTS = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_SINGLE = frozenset({
    "items", "contains", "additionalProperties", "propertyNames", "unevaluatedItems", "unevaluatedProperties", "not", "if",
    "then", "else", "contentSchema",
})  # fmt: skip
_IN_PLACE = frozenset({"allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas"})
_REFERENCES = ("$ref", "$dynamicRef")
_ANCHORS = ("$anchor", "$dynamicAnchor")
_LEFT_OUT = frozenset({"$id", "$schema", "$vocabulary", "$defs", "definitions", *_ANCHORS})
"""What has no meaning any more once references are local: who is referred to, and by which name."""


class SchemaInvalid(InputsInvalid):
    """A schema of inputs cannot be used; `at` is the place in the document, as far as it is known."""

    def __init__(self, message: str, at: Path = (), *, hint: str | None = None) -> None:
        super().__init__(message, [message], hint=hint)
        self.at = at


class Subschema(NamedTuple):
    """A schema inside another one, and where it stands there."""

    at: Path
    schema: Any
    in_place: bool
    """Whether it applies to the same value, rather than to a part of it."""


def subschemas(schema: dict[str, Any]) -> Iterator[Subschema]:
    """Give the schemas directly inside a schema, by the applicators of 2020-12; references are not followed."""
    for keyword, value in schema.items():
        in_place = keyword in _IN_PLACE
        if keyword in _SINGLE and isinstance(value, dict | bool):
            yield Subschema((keyword,), value, in_place)
        elif keyword in _MAPS and isinstance(value, dict):
            for name, entry in value.items():
                yield Subschema((keyword, name), entry, in_place)
        elif keyword in _LISTS and isinstance(value, list):
            for number, entry in enumerate(value):
                yield Subschema((keyword, number), entry, in_place)


def linked_schema(schema: Any, document: Any) -> Any:
    """Give a schema that stands alone: everything that its `$ref`s reach is in its `$defs`.

    References are JSON Pointers into the document, plain names (`$anchor`), and `$id`s of schemas of the document; a
    pointer that leads nowhere from the root of the document is read from the root of the schema it stands in.

    Args:
        schema: the `inputs` of a workflow, as they stand in the document; None gives None.
        document: the value of the whole document.

    Raises:
        SchemaInvalid: references lead nowhere or out of the document, or the schema is too large.
    """
    if not isinstance(schema, dict):
        return schema
    linked = _Linker(_Index(document)).link(schema)
    _check_unfolding(linked)
    return linked


class _Home(NamedTuple):
    """Where a schema belongs: its base URI, the schema at the root of that resource, its place in the document."""

    uri: str
    root: dict[str, Any]
    at: Path

    def entered(self, schema: dict[str, Any]) -> "_Home":
        """Give the home of what stands in a schema: `$id` makes a resource of its own."""
        written = schema.get("$id")
        if not isinstance(written, str):
            return self
        return _Home(_joined(self.uri, written).removesuffix("#"), schema, self.at)


class _Index:
    """The schemas of a document, by what they may be referred to with; filled at the first reference."""

    def __init__(self, document: Any) -> None:
        self.document = document
        own = document.get("$self") if isinstance(document, dict) else None
        self.base = own if isinstance(own, str) else ""
        self.homes: dict[int, _Home] = {}
        self.resources: dict[str, dict[str, Any]] = {}
        self.anchors: dict[tuple[str, str], list[tuple[int, dict[str, Any]]]] = {}

    def home(self, schema: dict[str, Any]) -> _Home:
        """Give the home of a schema at the root."""
        places = (at for at, root in _schemas_of(self.document) if root is schema)
        return _Home(self.base, schema, next(places, ())).entered(schema)

    def fill(self, schema: dict[str, Any]) -> None:
        """Go through all schemas of the document, and this one where it is none of them."""
        if not self.homes:
            for at, root in _schemas_of(self.document):
                self._add(root, at)
            self._add(schema, ())

    def _add(self, root: dict[str, Any], at: Path) -> None:
        todo = [(root, _Home(self.base, root, at).entered(root))]
        while todo:
            schema, home = todo.pop()
            if id(schema) in self.homes:
                continue  # an alias of YAML: the same schema at two places
            self.homes[id(schema)] = home
            if home.root is schema and home.uri != self.base:
                self.resources.setdefault(home.uri, schema)
            for keyword in _ANCHORS:
                name = schema.get(keyword)
                if isinstance(name, str):
                    self.anchors.setdefault((home.uri, name), []).append((id(home.root), schema))
            todo += (
                (part.schema, home._replace(at=(*home.at, *part.at)).entered(part.schema))
                for part in subschemas(schema)
                if isinstance(part.schema, dict)
            )

    def find(self, reference: str, home: _Home) -> Any:
        """Give the schema that a reference names.

        Raises:
            LookupError: there is none; the message says why.
        """
        uri, fragment = urldefrag(reference)
        uri = _joined(home.uri, uri) if uri else home.uri
        roots: list[Any] = [self.resources[uri]] if uri in self.resources else []
        if uri == self.base and not fragment.startswith("/"):
            roots = [home.root]
        elif uri == self.base or roots:
            roots += [self.document, home.root]
        if not roots:
            raise LookupError("it leads to another document, and schemas of inputs are not read from elsewhere")
        if not fragment:
            return roots[0]
        if not fragment.startswith("/"):
            return self._anchored(fragment, uri, home)
        try:
            tokens = pointer.parse(unquote(fragment))
        except ValueError as error:
            raise LookupError(str(error)) from None
        ways = [pointer.follow(root, tokens) for root in roots]
        found = next((way for way in ways if not way.rest), None)
        if found is None:
            raise LookupError(f"there is no '{ways[0].rest[0]}'")
        return found.value

    def _anchored(self, name: str, uri: str, home: _Home) -> Any:
        having = self.anchors.get((uri, name), [])
        own = [schema for root, schema in having if root == id(home.root)]
        found = own or [schema for _, schema in having]
        if not found:
            raise LookupError(f"there is no `$anchor: {name}`")
        if len(found) > 1:
            raise LookupError(f"`$anchor: {name}` stands in the document {len(found)} times")
        return found[0]


def _schemas_of(document: Any) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Give what holds schemas in an Arazzo document: the inputs of components and of workflows."""
    if not isinstance(document, dict):
        return
    components = document.get("components")
    inputs = components.get("inputs") if isinstance(components, dict) else None
    for name, schema in inputs.items() if isinstance(inputs, dict) else ():
        if isinstance(schema, dict):
            yield ("components", "inputs", name), schema
    workflows = document.get("workflows")
    for number, workflow in enumerate(workflows if isinstance(workflows, list) else ()):
        schema = workflow.get("inputs") if isinstance(workflow, dict) else None
        if isinstance(schema, dict):
            yield ("workflows", number, "inputs"), schema


def _joined(base: str, uri: str) -> str:
    try:
        return urljoin(base, uri)
    except ValueError:
        return uri


class _Linker:
    """Copies a schema and everything it refers to, with references that lead into `$defs`."""

    def __init__(self, index: _Index) -> None:
        self.index = index
        self.root: dict[str, Any] = {}
        self.keys: dict[int | str, str] = {}
        self.waiting: list[tuple[str, Any, _Home]] = []
        self.problems: list[SchemaInvalid] = []
        self.parts = 0

    def link(self, schema: dict[str, Any]) -> dict[str, Any]:
        self.root = schema
        self.keys[id(schema)] = "#"
        linked = self._copy(schema, self.index.home(schema))
        definitions: dict[str, Any] = {}
        while self.waiting:
            key, target, home = self.waiting.pop()
            definitions[key] = self._copy(target, home)
        if self.problems:
            self.problems[0].problems = [problem.message for problem in self.problems]
            raise self.problems[0]
        return {**linked, "$defs": definitions} if definitions else linked

    def _copy(self, schema: Any, home: _Home) -> Any:
        result: list[Any] = [None]
        todo: list[tuple[Any, _Home, Any, Any]] = [(schema, home, result, 0)]
        while todo:
            source, own, holder, place = todo.pop()
            if not isinstance(source, dict):
                holder[place] = source
                continue
            self.parts += 1
            if self.parts > MAX_PARTS:
                raise SchemaInvalid(f"the schema of the inputs has more than {MAX_PARTS:,} parts", home.at)
            copy = {name: value for name, value in source.items() if name not in _LEFT_OUT}
            holder[place] = copy
            for keyword in _REFERENCES:
                if isinstance(copy.get(keyword), str):
                    copy[keyword] = self._reference(copy[keyword], own, keyword)
            parts = list(subschemas(copy))
            for several in {part.at[0] for part in parts if len(part.at) > 1}:
                copy[several] = copy[several].copy()
            for part in parts:
                around = own._replace(at=(*own.at, *part.at))
                inner = around.entered(part.schema) if isinstance(part.schema, dict) else around
                todo.append((part.schema, inner, copy if len(part.at) == 1 else copy[part.at[0]], part.at[-1]))
        return result[0]

    def _reference(self, reference: str, home: _Home, keyword: str) -> str:
        """Give the local form of a reference; what it names waits to be copied."""
        self.index.fill(self.root)
        try:
            target = self.index.find(reference, home)
            if type(target) not in (dict, bool):
                raise LookupError("what is there is no schema")
        except LookupError as error:
            message = f"`{keyword}: {reference}` in the inputs cannot be followed: {error}"
            hint = "write `$ref: '#/components/inputs/NAME'`, or give a schema an `$anchor`"
            self.problems.append(SchemaInvalid(message, (*home.at, keyword) if home.at else (), hint=hint))
            return "#"
        identity: int | str = str(target) if isinstance(target, bool) else id(target)
        if identity not in self.keys:
            name = re.sub(r"[^A-Za-z0-9_-]", "_", reference.rpartition("/")[2].lstrip("#"))[:40]
            key = f"{name}.{len(self.keys)}"
            self.keys[identity] = f"#/$defs/{key}"
            self.waiting.append((key, target, self.index.homes.get(id(target), home)))
        return self.keys[identity]


def follow_reference(schema: Any, root: Any) -> Any:
    """Give what the `$ref` of a schema names in a schema that stands alone; None where there is none."""
    reference = schema.get("$ref", schema.get("$dynamicRef")) if isinstance(schema, dict) else None
    if not isinstance(reference, str) or not reference.startswith("#"):
        return None
    try:
        reached = pointer.follow(root, pointer.parse(unquote(reference[1:])))
    except ValueError:
        return None
    return None if reached.rest else reached.value


def _check_unfolding(linked: dict[str, Any]) -> None:
    """Refuse a schema that unfolds without end for one value: validators follow each reference each time they meet it.

    References to itself by way of properties or items are fine: values end.
    """
    unfolded: dict[int, int] = {}
    for schema in _all_parts(linked):
        todo: list[tuple[dict[str, Any], list[dict[str, Any]] | None]] = [(schema, None)]
        while todo:
            part, same = todo.pop()
            if same is None and id(part) not in unfolded:
                same = in_place(part, linked)
                unfolded[id(part)] = 0  # until all of it is counted
                todo.append((part, same))
                todo += ((inner, None) for inner in same)
            elif same is None and unfolded[id(part)] == 0:
                raise SchemaInvalid("the schema of the inputs refers to itself without end")
            elif same is not None:
                unfolded[id(part)] = 1 + sum(unfolded[id(inner)] for inner in same)
                if unfolded[id(part)] > MAX_UNFOLDED:
                    message = f"the schema of the inputs unfolds to more than {MAX_UNFOLDED:,} parts for one value"
                    raise SchemaInvalid(message)


def _all_parts(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    todo = [schema]
    while todo:
        part = todo.pop()
        yield part
        todo += (inner.schema for inner in subschemas(part) if isinstance(inner.schema, dict))


def in_place(schema: dict[str, Any], root: Any) -> list[dict[str, Any]]:
    """Give the schemas that apply, or may apply, to the same value as a schema that stands alone."""
    found = [part.schema for part in subschemas(schema) if part.in_place and isinstance(part.schema, dict)]
    target = follow_reference(schema, root)
    return [*found, target] if isinstance(target, dict) else found
