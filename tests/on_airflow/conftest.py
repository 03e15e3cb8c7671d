"""A real Airflow with a database of its own. Where there is none (`make test`), nothing is collected here."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from treadle.vendors.dataiku.simulator import config
from treadle.vendors.dataiku.simulator.server import running

collect_ignore_glob = [] if find_spec("airflow") else ["test_*.py"]
ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "docs" / "dataiku" / "recipes"
AIRFLOW = str(Path(sys.executable).with_name("airflow"))
KEY = "key-of-the-connection"
WORLD = """
keys: [{key: KEY}]
scenarios:
  - {project: SALES, id: NIGHTLY, type: custom_python, run_time: SECONDS, outcomes: [OUTCOMES]}
  - {project: SALES, id: WEEKLY_REPORT, type: custom_python, run_time: 20}
faults: [FAULTS]
"""
_ON_DEMAND = {'schedule="15 3 * * *"': "schedule=None"}
QUICK = {
    "airflow_bash.py": _ON_DEMAND,
    "airflow_deferred.py": {
        **_ON_DEMAND,
        "timedelta(minutes=5)": "timedelta(0)",
        '"poll_interval": 5, "poll_max_interval": 60': '"poll_interval": 0.05, "poll_max_interval": 0.2',
    },
}
"""What is changed in the recipes: they run when they are told to, and nobody wants to wait."""


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    """Make a folder and a database for Airflow; the recipes are its DAGs."""
    folder = tmp_path_factory.mktemp("airflow")
    (folder / "dags").mkdir()
    for name in ("airflow_bash.py", "airflow_deferred.py"):
        text = (RECIPES / name).read_text("utf-8")
        for recipe, quick in QUICK[name].items():
            assert recipe in text, f"{name} has no {recipe}"
            text = text.replace(recipe, quick)
        (folder / "dags" / name).write_text(text, "utf-8")
    for name in ("other_dags.py", "trigger.arazzo.yaml"):
        shutil.copy(Path(__file__).with_name(name), folder / "dags")
    settings = {
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder}/airflow.db",
        "TREADLE_CACHE_DIR": str(folder / "cache"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "TREADLE_POLL_INTERVAL": "0.05",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        subprocess.run([AIRFLOW, "db", "migrate"], check=True, capture_output=True)
        yield folder


@contextmanager
def dss(outcomes="SUCCESS", faults="", run_time=20, **how):
    """Serve a DSS, and have Airflow know it as the connection `dss`."""
    values = {"KEY": KEY, "OUTCOMES": outcomes, "FAULTS": faults, "SECONDS": str(run_time)}
    text = WORLD
    for name, value in values.items():
        text = text.replace(name, value)
    world = config.read(text)
    with running(world, **how) as simulator, pytest.MonkeyPatch.context() as patch:
        connection = {"conn_type": "http", "host": simulator.api_url, "password": KEY}
        patch.setenv("AIRFLOW_CONN_DSS", json.dumps(connection))
        yield simulator


def posts(simulator):
    return [request for request in simulator.requests if request.method == "POST" and request.path.endswith("/run")]
