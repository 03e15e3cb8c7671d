"""The version stands in two places, because reading it from the package's metadata would cost more than `--help`."""

from importlib.metadata import version

import treadle


def test_the_package_and_its_metadata_name_one_version():
    assert treadle.__version__ == version("treadle")
