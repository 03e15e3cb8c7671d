"""What Treadle ships for single vendors, by name."""

from treadle.vendors.bundle import Bundle
from treadle.vendors.dataiku import DATAIKU

BUNDLES: dict[str, Bundle] = {bundle.name: bundle for bundle in (DATAIKU,)}
