"""Which operation a step means: operationId and operationPath, over all source descriptions of a document."""

from collections.abc import Mapping
from urllib.parse import unquote

from treadle.document.model import Document
from treadle.errors import ExpressionInvalid, TreadleError
from treadle.expressions.dialect import Finding
from treadle.expressions.syntax import SourceReference, parse
from treadle.pointer import dump
from treadle.pointer import parse as parse_pointer
from treadle.sources.openapi import Description
from treadle.sources.operation import Operation

_PATH_HINT = "write `{$sourceDescriptions.NAME.url}#/paths/~1the~1path/get`"


class OperationUnknown(TreadleError):
    """No description has the operation, or more than one has."""


class Operations:
    """The operations of a document's sources, and the servers they are at."""

    def __init__(
        self, document: Document, descriptions: Mapping[str, Description | None], servers: Mapping[str, str]
    ) -> None:
        self.document = document
        self.descriptions = {name: found for name, found in descriptions.items() if found is not None}
        self.servers = servers

    def find(self, text: str, *, by_path: bool, findings: list[Finding]) -> tuple[Operation, str]:
        """Give the operation that an operationId or operationPath names, and its server's URL.

        Raises:
            TreadleError: there is none, or more than one.
        """
        operation = self._by_path(text, findings) if by_path else self._by_id(text, findings)
        return operation, self._server(operation)

    def _server(self, operation: Operation) -> str:
        return self.servers.get(operation.source) or self.servers.get("") or operation.server

    def _described(self, name: str) -> Description:
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
                raise ExpressionInvalid(
                    f"`{text}` names no operation", hint="write `$sourceDescriptions.NAME.OPERATION`"
                )
            return self._described(reference.source).operation(reference.reference)
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
        hints = [hint for found in self.descriptions.values() if (hint := found.suggest(text)) is not None]
        hints.sort(key=lambda hint: not hint.startswith("did you mean"))
        raise OperationUnknown(f"no source has an operation '{text}'", hint=hints[0] if hints else None)

    def _by_path(self, text: str, findings: list[Finding]) -> Operation:
        source, joint, fragment = text.partition("#")
        if source.startswith("{") and source.endswith("}") and joint:
            reference = parse(source[1:-1])
            if isinstance(reference, SourceReference) and reference.reference == "url":
                return self._described(reference.source).at_pointer(unquote(fragment))
        description, tokens = self._loose_path(text)
        operation = description.at_pointer(dump(tokens))
        message = "an operationPath is the source's URL by a runtime expression, and a JSON Pointer"
        correct = f"write `{{$sourceDescriptions.{description.name}.url}}#{dump(tokens)}`"
        findings.append(Finding("operation-path", message, 0, len(text), correct))
        return operation

    def _loose_path(self, text: str) -> tuple[Description, tuple[str, ...]]:
        """Read `source#/paths/~1x/get`, `#/paths/…` with one source, `/path` and `GET /path`."""
        source, joint, fragment = text.partition("#")
        name = source.strip("{}").removeprefix("$sourceDescriptions.").removesuffix(".url")
        if not name and len(self.descriptions) == 1:
            name = next(iter(self.descriptions))
        if joint and name in self.descriptions and fragment.startswith("/"):
            return self.descriptions[name], parse_pointer(unquote(fragment))
        words = text.split()
        if words and len(words) <= 2 and words[-1].startswith("/"):
            method = words[0].lower() if len(words) == 2 else None
            having = [
                (found, ("paths", located.path, located.method))
                for found in self.descriptions.values()
                for located in found.at_path(words[-1])
                if method in (None, located.method)
            ]
            if len(having) == 1:
                return having[0]
            if having:
                listed = ", ".join(f"{tokens[2].upper()} in {found.name}" for found, tokens in having)
                raise OperationUnknown(f"`{text}` names several operations: {listed}", hint=_PATH_HINT)
        raise ExpressionInvalid(f"`{text}` is no operationPath", hint=_PATH_HINT)
