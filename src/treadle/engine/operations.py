"""Which operation a step means: operationId and operationPath, over all source descriptions of a document."""

import re
from collections.abc import Mapping
from urllib.parse import unquote

from treadle.engine.linked import LinkedDocument, SourcesMissing
from treadle.errors import ExpressionInvalid, TreadleError
from treadle.expressions.dialect import Finding
from treadle.expressions.syntax import SourceReference, parse
from treadle.pointer import dump
from treadle.pointer import parse as parse_pointer
from treadle.sources.openapi import Description
from treadle.sources.operation import Operation
from treadle.sources.references import DescriptionInvalid
from treadle.sources.servers import no_value, unset

_PATH = re.compile(r"\{\$sourceDescriptions\.([A-Za-z0-9_-]+)\.url\}#(.*)", re.DOTALL)
_PATH_HINT = "write `{$sourceDescriptions.NAME.url}#/paths/~1the~1path/get`"

_ID_HINT = "write `$sourceDescriptions.NAME.OPERATION`"


class OperationUnknown(TreadleError):
    """No description has the operation, or more than one has."""


class Operations:
    """The operations of a document's sources, and the servers they are at."""

    def __init__(self, linked: LinkedDocument, servers: Mapping[str, str]) -> None:
        self.linked = linked
        self.document = linked.document
        found = ((name, source.description) for name, source in linked.sources.items())
        self.descriptions = {name: description for name, description in found if description is not None}
        self.servers = servers

    def find(self, text: str, *, by_path: bool, findings: list[Finding]) -> tuple[Operation, str]:
        """Give the operation that an operationId or operationPath names, and its server's URL.

        Raises:
            TreadleError: there is none, or more than one, or its server has a variable without a value.
            DocumentsMissing: it may stand in documents that are not loaded, or refers to some.
            SourcesMissing: it may stand in sources that are pending.
        """
        operation = self._by_path(text, findings) if by_path else self._by_id(text, findings)
        return operation, self._server(operation)

    def described(self, name: str) -> Description:
        """Give the description of a source.

        Raises:
            OperationUnknown: there is no such source, or it is no API description.
        """
        return self._described(name)

    def _server(self, operation: Operation) -> str:
        named = self.servers.get(operation.source) or self.servers.get("")
        named = named or self._extended(operation.source)
        if not named and unset(operation.server):
            raise no_value(operation.source, operation.server)
        return named or operation.server

    def _extended(self, name: str) -> str | None:
        """Give the `x-serverUrl` of a source description: Redocly's users write there which server to use."""
        source = next((entry for entry in self.document.source_descriptions if entry.name == name), None)
        url = None if source is None else source.extensions.get("x-serverUrl")
        # Redocly's Respect, too, takes the description's own server where it is no http URL.
        return url if isinstance(url, str) and url.startswith(("http://", "https://")) else None

    def _need(self, *names: str) -> None:
        """Make sure that the sources of these names are at hand, or all of them where none is named."""
        sources = self.linked.sources
        pending = [name for name in names or sources if name in sources and sources[name].pending]
        if pending:
            raise SourcesMissing(self.linked, pending)

    def _described(self, name: str) -> Description:
        self._need(name)
        if name not in self.descriptions:
            known = {source.name: source.type for source in self.document.source_descriptions}
            if name in known:
                raise OperationUnknown(f"source '{name}' is of type {known[name]} and has no operations to call")
            listed = ", ".join(known)
            raise OperationUnknown(f"there is no source description '{name}'", hint=f"the document has {listed}")
        return self.descriptions[name]

    def _by_id(self, text: str, findings: list[Finding]) -> Operation:
        if text.startswith("$"):
            reference = parse(text)
            if not isinstance(reference, SourceReference):
                raise ExpressionInvalid(f"`{text}` names no operation", hint=_ID_HINT)
            return self._described(reference.source).operation(reference.reference)
        if text.startswith("{$") and text.endswith("}"):
            operation = self._by_id(text[1:-1], findings)
            message = "a whole expression stands without braces"
            findings.append(Finding("source-dot-operation", message, 0, len(text), f"write `{text[1:-1]}`"))
            return operation
        self._need()
        if len(self.descriptions) == 1:  # what is not needed to find it is not loaded
            having = [found for found in self.descriptions.values() if found.has(text)]
        else:
            having = [found for found in self.descriptions.values() if text in found.operations()]
        if len(having) == 1:
            others = [source for source in self.document.source_descriptions if source.type != "arazzo"]
            if len(others) > 1:
                # "If multiple (non arazzo type) sourceDescriptions are defined, then the operationId MUST be specified
                # using a Runtime Expression."
                message = "with several source descriptions an operationId names its own"
                correct = f"write `$sourceDescriptions.{having[0].name}.{text}`"
                findings.append(Finding("plain-operation-id", message, 0, len(text), correct))
            return having[0].operation(text)
        if having:
            names = ", ".join(found.name for found in having)
            raise OperationUnknown(
                f"operationId '{text}' stands in several sources: {names}",
                hint=f"write `$sourceDescriptions.{having[0].name}.{text}`",
            )
        name, _, operation_id = text.partition(".")
        if name in self.descriptions and operation_id in self.descriptions[name].operations():
            message = "a source is named by a runtime expression"
            correct = f"write `$sourceDescriptions.{text}`"
            findings.append(Finding("source-dot-operation", message, 0, len(text), correct))
            return self.descriptions[name].operation(operation_id)
        broken = next((error for found in self.descriptions.values() for error in found.broken), None)
        if broken is not None:
            raise broken
        hints = [hint for found in self.descriptions.values() if (hint := found.suggest(text)) is not None]
        hints.sort(key=lambda hint: not hint.startswith("did you mean"))
        raise OperationUnknown(f"no source has an operation '{text}'", hint=hints[0] if hints else None)

    def _by_path(self, text: str, findings: list[Finding]) -> Operation:
        match = _PATH.fullmatch(text)
        if match is not None:
            description = self._described(match[1])
            try:
                return description.at_pointer(unquote(match[2]))
            except DescriptionInvalid as error:
                tokens = _loose_tokens(description, match[2])
                if tokens is None:
                    raise error from None
            operation, correct = description.at_pointer(dump(tokens)), _correct_path(description, tokens)
        else:
            operation, correct = self._loosely(text)
        message = "an operationPath is the source's URL by a runtime expression, and a JSON Pointer"
        findings.append(Finding("operation-path", message, 0, len(text), f"write `{correct}`"))
        return operation

    def _loosely(self, text: str) -> tuple[Operation, str]:
        """Read an operationPath as people write it: give the operation and the correct form."""
        self._need()
        found = self._by_reference(text)
        if found is not None:
            return found
        source, joint, fragment = text.partition("#")
        if not joint:  # `{$sourceDescriptions.api.url}/paths/~1x/get`
            source, joint, fragment = text.partition("}")
        described = self._named(source) if joint else None
        tokens = None if described is None else _loose_tokens(described, fragment)
        if described is not None and tokens is not None:
            return described.at_pointer(dump(tokens)), _correct_path(described, tokens)
        if described is not None and fragment.startswith("/"):
            # There is no such operation, and the description says so best.
            return described.at_pointer(unquote(fragment)), f"{{$sourceDescriptions.{described.name}.url}}#{fragment}"
        described, tokens = self._by_method_and_path(text)
        return described.at_pointer(dump(tokens)), _correct_path(described, tokens)

    def _by_reference(self, text: str) -> tuple[Operation, str] | None:
        """`$sourceDescriptions.source.operation`, which is an operationId (and an example of the specification)."""
        try:
            reference = parse(text.strip("{}"))
        except ExpressionInvalid:
            return None
        described = self.descriptions.get(reference.source) if isinstance(reference, SourceReference) else None
        if not isinstance(reference, SourceReference) or described is None:
            return None
        if reference.reference not in described.operations():
            return None
        return described.operation(reference.reference), f"operationId: {text.strip('{}')}"

    def _named(self, written: str) -> Description | None:
        """Give the description that the part before the `#` names: by its name, its URL, or as the only one."""
        name = written.strip("{}").removeprefix("$sourceDescriptions.").removesuffix(".url")
        if not name and len(self.descriptions) == 1:
            return next(iter(self.descriptions.values()))
        urls = {source.url: source.name for source in self.document.source_descriptions}
        return self.descriptions.get(name) or self.descriptions.get(urls.get(written, ""))

    def _by_method_and_path(self, text: str) -> tuple[Description, tuple[str, ...]]:
        """Read `/path` and `GET /path`.

        Raises:
            TreadleError: no source has it, or several have.
        """
        words = text.split()
        having: list[tuple[Description, tuple[str, ...]]] = []
        if words and len(words) <= 2 and words[-1].startswith("/"):
            method = words[0].lower() if len(words) == 2 else None
            having = [
                (found, located.tokens)
                for found in self.descriptions.values()
                for located in found.at_path(words[-1])
                if method in (None, located.method.lower())
            ]
        if len(having) == 1:
            return having[0]
        if having:
            listed = ", ".join(f"{tokens[-1].upper()} in {found.name}" for found, tokens in having)
            raise OperationUnknown(f"`{text}` names several operations: {listed}", hint=_PATH_HINT)
        raise ExpressionInvalid(f"`{text}` is no operationPath", hint=_PATH_HINT)


def _loose_tokens(description: Description, fragment: str) -> tuple[str, ...] | None:
    """Read `/paths/~1x/GET`, and `/paths//x/{id}/get` with slashes that are not escaped, where there is such a path."""
    try:
        tokens = parse_pointer(unquote(fragment))
    except ValueError:
        return None
    if len(tokens) < 3 or tokens[0] != "paths":
        return None
    path = tokens[1] if len(tokens) == 3 and tokens[1].startswith("/") else "/" + "/".join(tokens[1:-1]).lstrip("/")
    having = (located for located in description.at_path(path) if located.method.lower() == tokens[-1].lower())
    return next((located.tokens for located in having), None)


def _correct_path(description: Description, tokens: tuple[str, ...]) -> str:
    return f"{{$sourceDescriptions.{description.name}.url}}#{dump(tokens)}"
