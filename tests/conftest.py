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
def _own_folders(tmp_path_factory):
    """Keep tests away from the cache and the journal of whoever runs them, and from other runs of the tests."""
    own = tmp_path_factory.mktemp("own")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TREADLE_CACHE_DIR", str(own / "cache"))
        patch.setenv("TREADLE_STATE", str(own / "journal.sqlite"))
        patch.delenv("TREADLE_STATE_KEY", raising=False)
        yield
