"""Bundle: what Treadle ships for one vendor. A vendor is YAML plus a simulator; this names the YAML."""

from pathlib import Path
from typing import NamedTuple


class Bundle(NamedTuple):
    """The documents of one vendor.

    Attributes:
        name: what people write in place of a path.
        document: the Arazzo document with its workflows.
        description: the API description those workflows use.
    """

    name: str
    document: Path
    description: Path
