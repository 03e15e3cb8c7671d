"""A scheduler, an API server and a triggerer of Airflow, some of them killed at the worst moment: still one request to run."""

import os
import signal
import subprocess
import time

import psutil
import pytest
from cli_case import Arrivals, free_port

from conftest import AIRFLOW, dss, posts
from treadle.vendors.dataiku.simulator import config
from treadle.vendors.dataiku.simulator.clock import RealClock

DAG = "dss_nightly_deferred"
PATIENCE = 90.0
LOOK = "GET /projects/SALES/scenarios/NIGHTLY/get-run-for-trigger"
RUN = "POST /projects/SALES/scenarios/NIGHTLY/run"


class Cluster:
    """The processes of Airflow by name; each may be killed with its children, and started again."""

    def __init__(self, home):
        self._home = home
        self._port = free_port()
        self.running = {}
        settings = {
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{self._port}/execution/",
            "AIRFLOW__API_AUTH__JWT_SECRET": "made-up-for-this-test-and-long-enough-for-the-algorithm-in-use-here-0123456789",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
            "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
            "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "3",
            "AIRFLOW__API__WORKERS": "1",
        }
        self._env = {**os.environ, **settings}

    def start(self, name):
        arguments = ["--port", str(self._port)] if name == "api-server" else []
        log = (self._home / f"{name}.log").open("ab")
        with log:
            self.running[name] = subprocess.Popen(
                [AIRFLOW, name, *arguments], env=self._env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def kill(self, name):
        process = psutil.Process(self.running.pop(name).pid)
        for one in (process, *process.children(recursive=True)):
            one.kill()
        process.wait()

    def kill_the_task(self):
        """Kill the process that runs the task: the youngest below the scheduler."""
        youngest = max(
            psutil.Process(self.running["scheduler"].pid).children(recursive=True), key=lambda p: p.create_time()
        )
        youngest.send_signal(signal.SIGKILL)

    def airflow(self, *arguments):
        subprocess.run([AIRFLOW, *arguments], env=self._env, capture_output=True, check=True)

    def seen(self, run_id, look):
        """Give what `look` sees of a run of a DAG."""
        from airflow.models.dagrun import DagRun  # noqa: PLC0415
        from airflow.utils.session import create_session  # noqa: PLC0415

        with create_session() as session:
            (run,) = DagRun.find(run_id=run_id, session=session)
            return look(run, session)

    def ended(self, run_id):
        """Wait until a run of a DAG is over; gives its state."""
        self.wait_until(run_id, lambda run, _: str(run.state) not in ("queued", "running"))
        return self.seen(run_id, lambda run, _: str(run.state))

    def tried_again(self, run_id):
        """Wait until the task of a run has been given up and is tried once more."""
        self.wait_until(run_id, lambda run, session: run.get_task_instances(session=session)[0].try_number > 1)

    def wait_until(self, run_id, look):
        end = time.monotonic() + PATIENCE
        while not self.seen(run_id, look):
            assert time.monotonic() < end, f"nothing more of {run_id}"
            time.sleep(0.5)  # a database tells nobody that it changed


class Stage:
    """A cluster, the DSS that it talks to, and what came in there."""

    def __init__(self, cluster, simulator, arrivals):
        self.cluster = cluster
        self.simulator = simulator
        self._arrivals = arrivals

    def begin(self, run_id, *faults, dag=DAG):
        """Forget what came in so far, and trigger the DAG."""
        self._arrivals._lines.clear()
        self.simulator.requests.clear()
        self.simulator.instance.set_faults([config.read_fault(fault) for fault in faults], 0)
        self.cluster.airflow("dags", "trigger", dag, "--run-id", run_id)

    def wait_for(self, line, count=1):
        """Wait until so many of these requests have come in."""
        assert self._arrivals.wait_for(line, count, PATIENCE), f"no {line}"

    def wait_for_more(self, line, count):
        """Wait until so many have come in besides those that are there."""
        self.wait_for(line, self._arrivals._lines.count(line) + count)


@pytest.fixture(scope="module")
def stage(home):
    arrivals = Arrivals()
    with dss(run_time=3600, clock=RealClock(), middlewares=[arrivals.note]) as simulator:
        cluster = Cluster(home)
        try:
            cluster.airflow("dags", "reserialize")
            for name in ("api-server", "scheduler", "dag-processor", "triggerer"):
                cluster.start(name)
            yield Stage(cluster, simulator, arrivals)
        finally:
            for name in list(cluster.running):
                cluster.kill(name)


def test_a_triggerer_is_killed(stage):
    stage.begin("killed-triggerer")
    stage.wait_for(LOOK, 10)
    stage.cluster.kill("triggerer")
    stage.cluster.start("triggerer")
    stage.wait_for_more(LOOK, 5)
    stage.simulator.clock.advance(4000)
    assert stage.cluster.ended("killed-triggerer") == "success"
    assert len(posts(stage.simulator)) == 1


def test_a_worker_is_killed_as_it_sends(stage):
    stage.begin("killed-worker", "do=hang,method=POST,path=*/run,effect=true,count=1")
    stage.wait_for(RUN)
    stage.cluster.kill_the_task()
    stage.wait_for(LOOK, 3)
    stage.simulator.clock.advance(4000)
    assert stage.cluster.ended("killed-worker") == "success"
    assert len(posts(stage.simulator)) == 1


def test_a_wait_that_took_too_long_goes_on(stage):
    stage.begin("short-wait", dag="short_wait")
    stage.cluster.tried_again("short-wait")
    stage.simulator.clock.advance(4000)
    assert stage.cluster.ended("short-wait") == "success"
    assert len(posts(stage.simulator)) == 1
