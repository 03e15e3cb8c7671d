"""An Arazzo document together with what its Source Descriptions lead to."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from treadle.diagnostics import Diagnostic
from treadle.document import model
from treadle.document.reader import Reading
from treadle.engine.inputs import closed, properties, required
from treadle.engine.names import Reach
from treadle.engine.schema import SchemaInvalid, linked_schema
from treadle.errors import TreadleError
from treadle.sources.openapi import Description


class Source(NamedTuple):
    """What a Source Description leads to: an API description, another Arazzo document, or why there is neither.

    Attributes:
        kind: openapi, asyncapi or arazzo, as the Source Description says or as its document shows.
        out_of_reach: it was not looked for, so nothing that needs it can be checked.
        pending: it is brought when an operation is looked for in it.
    """

    kind: str
    description: Description | None = None
    document: "LinkedDocument | None" = None
    problem: Diagnostic | None = None
    out_of_reach: bool = False
    pending: bool = False


class SourcesMissing(TreadleError):
    """An operation may stand in sources that are pending: `names` of the document `linked`. The caller brings them."""

    def __init__(self, linked: "LinkedDocument", names: list[str]) -> None:
        super().__init__(f"still missing: {', '.join(names)}")
        self.linked = linked
        self.names = names


class LinkedDocument:
    """A document, its text, and a Source for each of its Source Descriptions; documents may lead to each other.

    Attributes:
        uri: its canonical URI: `$self`, resolved, or else where it was found.
        sources: by the name of the Source Description; filled in when all of them are at hand.
        reach: the workflows that `$workflows` reaches, when they were asked for.
    """

    __slots__ = ("_schemas", "diagnostics", "document", "reach", "reading", "sources", "uri")

    def __init__(
        self, document: model.Document, reading: Reading, uri: str, diagnostics: list[Diagnostic] | None = None
    ) -> None:
        self.document = document
        self.reading = reading
        self.uri = uri
        self.diagnostics = diagnostics or []
        self.sources: dict[str, Source] = {}
        self.reach: Reach | None = None
        self._schemas: dict[str, Any] = {}

    def linked(self) -> Iterator[tuple[str, "LinkedDocument"]]:
        """Give the Arazzo documents among the sources, with their names."""
        for name, source in self.sources.items():
            if source.document is not None:
                yield name, source.document

    def schema(self, workflow: model.Workflow) -> Any:
        """Give the schema of a workflow's inputs, with everything that it refers to.

        Raises:
            SchemaInvalid: references in it lead nowhere or out of the document, or it is too large.
        """
        if workflow.workflow_id not in self._schemas:
            self._schemas[workflow.workflow_id] = linked_schema(workflow.inputs, self.reading.value)
        return self._schemas[workflow.workflow_id]

    def inputs(self, workflow: model.Workflow) -> dict[str, Any] | None:
        """Give the inputs that a workflow declares with their schemas, or None where it declares none."""
        try:
            schema = self.schema(workflow)
        except SchemaInvalid:
            return None  # it is said where the workflow is compiled
        return properties(schema, schema)

    def closed(self, workflow: model.Workflow) -> bool:
        """Say whether a workflow takes no inputs but those that it declares."""
        try:
            return closed(self.schema(workflow))
        except SchemaInvalid:
            return False

    def required(self, workflow: model.Workflow) -> list[str]:
        """Give the inputs of a workflow that have no default and must be given."""
        try:
            return required(self.schema(workflow))
        except SchemaInvalid:
            return []
