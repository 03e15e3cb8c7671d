"""Makes `tests/` importable (`from loader import cases`); under CI, a skip is a failure and examples are fixed."""

import os

import pytest
from hypothesis import settings

# CI tries the same examples each time, so that a change is judged by what it changed; at a desk they differ each time.
# No deadlines: how long a thing takes on a busy machine says nothing of whether it is right.
settings.register_profile("patient", deadline=None)
settings.register_profile("ci", settings.get_profile("patient"), derandomize=True)
settings.load_profile("patient")
if os.environ.get("CI"):
    settings.load_profile("ci")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"CI runs every test, but this one was skipped: {report.longrepr}"
    return report


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory):
    """Keep what tests fetch away from the cache of whoever runs them, and from other runs of the tests."""
    before = os.environ.get("TREADLE_CACHE_DIR")
    os.environ["TREADLE_CACHE_DIR"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["TREADLE_CACHE_DIR"]
    else:
        os.environ["TREADLE_CACHE_DIR"] = before
