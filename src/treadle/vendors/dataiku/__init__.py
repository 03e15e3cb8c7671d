"""Dataiku DSS: the bundled workflows, the description of the scenario endpoints, and the simulator."""

from pathlib import Path

from treadle.vendors.bundle import Bundle

_HERE = Path(__file__).parent

DATAIKU = Bundle(
    name="dataiku",
    document=_HERE / "workflows" / "scenarios.arazzo.yaml",
    description=_HERE / "openapi" / "scenarios.yaml",
)
