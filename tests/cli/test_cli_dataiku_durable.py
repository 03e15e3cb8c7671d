"""`treadle dataiku run` whose process is killed or interrupted at named moments, and what `treadle runs` makes of it.

What was triggered is counted by the simulated DSS.
"""

from __future__ import annotations

import json
import signal
import subprocess
import time
from contextlib import contextmanager

import pytest
from cli_case import LIMIT, NEVER, TREADLE, Arrivals, Simulated, environment, killed_in_the_end, simulated

SCENARIO = "/projects/DEMO/scenarios/NIGHTLY"
FIRE, LAST_RUNS, FIND = f"POST {SCENARIO}/run", f"GET {SCENARIO}/get-last-runs", f"GET {SCENARIO}/get-run-for-trigger"
RUN = f"GET {SCENARIO}/2016-04-15-14-57-41-101/"


class Machine:
    """A folder, a simulated DSS, and the processes that are started there."""

    def __init__(self, tmp, simulator, arrivals):
        self.tmp = tmp
        self.simulator = simulator
        self.arrivals = arrivals
        self.processes = []
        self.seeded = self._fires()

    def begin(self, *arguments):
        env = {
            "TREADLE_STATE": "j.sqlite", "TREADLE_POLL_INTERVAL": "0.02", "DKU_DSS_URL": self.simulator.api_url,
            "DKU_API_KEY": "demo-key",
        }  # fmt: skip
        process = subprocess.Popen(
            [*TREADLE, *arguments], cwd=self.tmp, env=environment(self.tmp, env), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.processes.append(process)
        return process

    def end(self, process, limit=LIMIT):
        out, err = process.communicate(timeout=limit)
        assert not [text for text in (*NEVER, "demo-key") if text in out + err], out + err
        return process.returncode, out, err

    def call(self, *arguments):
        return self.end(self.begin(*arguments))

    def stopped(self, at, count, number, *arguments, limit=LIMIT):
        """Begin a command and send its process a signal when a request has come in so often."""
        process = self.begin("dataiku", "run", "DEMO", "NIGHTLY", *arguments)
        assert self.arrivals.wait_for(at, count, LIMIT), f"no {at}"
        process.send_signal(number)
        return self.end(process, limit)

    def killed(self, at, count, *arguments):
        return self.stopped(at, count, signal.SIGKILL, *arguments)

    @property
    def fires(self):
        """How often the scenario was triggered here."""
        return self._fires() - self.seeded

    def _fires(self):
        return len(self.simulator.world.scenario("DEMO", "NIGHTLY", self.simulator.clock.now()).fires)

    def listed(self):
        code, out, err = self.call("runs", "list", "--json")
        assert (code, err) == (0, ""), err
        return json.loads(out)

    def resumed(self, code=0):
        """Resume what is left, and give what came of the only run."""
        (entry,) = self.listed()
        assert entry["workflowId"] == "run-scenario"
        ended, out, err = self.call("runs", "resume", entry["runId"])
        assert ended == code, out + err
        return json.loads(out), err


@contextmanager
def machine(tmp, **wanted):
    arrivals = Arrivals()
    with simulated(Simulated(**wanted), arrivals) as simulator:
        found = Machine(tmp, simulator, arrivals)
        with killed_in_the_end(found.processes):
            yield found


def _hanging(path, number, **more):
    """Give a fault by which a request gets no answer, so that its sender can be killed then."""
    return ",".join(
        f"{name}={value}" for name, value in {"do": "hang", "path": path, "first": number, "count": 1, **more}.items()
    )


@pytest.mark.parametrize(
    ("at", "path", "number"),
    [
        (LAST_RUNS, "*/get-last-runs", 1),
        (FIND, "*/get-run-for-trigger", 1),
        (FIND, "*/get-run-for-trigger", 2),
        (RUN, "*/2016*", 1),
        (RUN, "*/2016*", 3),
    ],
    ids=["before-the-trigger", "after-its-answer", "before-the-start", "after-the-start", "polling"],
)
def test_a_killed_run_goes_on_and_its_scenario_is_triggered_once(tmp_path, at, path, number):
    with machine(tmp_path, faults=[_hanging(path, number)]) as m:
        m.killed(at, number)
        assert m.listed()[0]["status"] == "interrupted"
        out, _ = m.resumed()
        assert out["outcome"] == "SUCCESS"
        assert m.fires == 1
        assert m.listed()[0]["status"] == "succeeded"


def test_a_run_that_somebody_cancelled_is_not_one_to_go_on_with(tmp_path):
    with machine(tmp_path) as m:
        process = m.begin("dataiku", "run", "DEMO", "ENDLESS")
        end = time.monotonic() + LIMIT
        while not (entries := m.listed()) or entries[0]["status"] != "waiting":
            assert time.monotonic() < end, entries
        (entry,) = entries
        assert m.call("runs", "cancel", entry["runId"])[0] == 0
        code, out, err = m.end(process)
        assert code == 130
        assert "its run was cancelled by `treadle runs cancel`; it goes on there" in out + err
        assert "treadle runs resume" not in out + err
        assert m.listed()[0]["status"] == "cancelled"


def test_a_request_to_run_that_took_effect_before_the_kill_is_found(tmp_path):
    with machine(tmp_path, faults=[_hanging("*/run", 1, method="POST", effect="true")]) as m:
        m.killed(FIRE, 1)
        assert m.listed()[0]["status"] == "in-doubt"
        out, _ = m.resumed()
        assert out["outcome"] == "SUCCESS"
        assert m.fires == 1


def test_a_lost_answer_is_looked_for_by_whoever_goes_on(tmp_path):
    faults = ["do=drop,method=POST,path=*/run,effect=true,count=1", _hanging("*/get-last-runs", 2)]
    with machine(tmp_path, faults=faults) as m:
        m.killed(LAST_RUNS, 2)
        out, _ = m.resumed()
        assert out["outcome"] == "SUCCESS"
        assert m.fires == 1


def test_a_request_to_run_that_never_took_effect_stays_in_doubt_until_somebody_decides(tmp_path):
    with machine(tmp_path, faults=[_hanging("*/run", 1, method="POST")]) as m:
        m.killed(FIRE, 1, "--start-timeout", "0.3")
        _, err = m.resumed(4)
        assert "took effect is not known: no trace of it was found" in err
        assert m.fires == 0
        (entry,) = m.listed()
        code, out, err = m.call("runs", "resume", entry["runId"], "--in-doubt", "retry")
        assert (code, json.loads(out)["outcome"]) == (0, "SUCCESS"), err
        assert m.fires == 1


def test_an_outcome_that_is_no_success_is_told_after_a_kill_too(tmp_path):
    run = "GET /projects/DEMO/scenarios/BROKEN/2016-04-15-14-57-41-101/"
    with machine(tmp_path, faults=[_hanging("*/2016*", 1)]) as m:
        process = m.begin("dataiku", "run", "DEMO", "BROKEN")
        assert m.arrivals.wait_for(run, 1, LIMIT)
        process.kill()
        m.end(process)
        out, err = m.resumed(1)
        assert out["outcome"] == "FAILED"
        assert "is 'FAILED'" in err


def test_a_run_of_the_journal_is_waited_for_with_the_words_of_the_command(tmp_path):
    run = "GET /projects/DEMO/scenarios/BROKEN/2016-04-15-14-57-41-101/"
    with machine(tmp_path, faults=[_hanging("*/2016*", 2)]) as m:
        process = m.begin("dataiku", "run", "DEMO", "BROKEN")
        assert m.arrivals.wait_for(run, 2, LIMIT)
        process.kill()
        m.end(process)
        run_id = m.listed()[0]["runId"]
        code, out, err = m.call("dataiku", "wait", run_id[:8])
        assert code == 1, err
        assert out.startswith("DEMO.BROKEN: FAILED, after 4.0 s, run 2016-04-15-14-57-41-101\n  step 'Build scores': ")
        assert m.call("dataiku", "wait", run_id)[:2] == (code, out)  # it has ended: the same once more


def test_a_run_of_the_journal_that_had_not_come_to_its_trigger_is_begun_by_waiting(tmp_path):
    with machine(tmp_path, faults=[_hanging("*/get-last-runs", 1)]) as m:
        m.killed(LAST_RUNS, 1, "--param", "day=1", "--detach")
        code, out, err = m.call("dataiku", "wait", m.listed()[0]["runId"])
        assert (code, out) == (0, "DEMO.NIGHTLY/2016-04-15-14-57-43-101\n"), err
        assert m.fires == 1


def test_a_run_of_the_journal_goes_on_with_its_own_server_only(tmp_path):
    with machine(tmp_path, faults=[_hanging("*/2016*", 1)]) as m:
        m.killed(RUN, 1)
        run_id = m.listed()[0]["runId"]
        code, _, err = m.call("dataiku", "wait", run_id, "--server", "http://127.0.0.1:1")
        assert code == 2
        assert f"treadle: run '{run_id}' is one on {m.simulator.api_url}, not on http://127.0.0.1:1/public/api\n" in err
        assert m.call("dataiku", "wait", run_id, "--no-journal")[0] == 2
        assert m.call("dataiku", "wait", "0000")[0] == 2
        key = ("--credential", "bearer=env:DKU_API_KEY")
        assert m.call("run", "dataiku", "list-projects", "--server", m.simulator.api_url, *key)[0] == 0
        other = next(entry["runId"] for entry in m.listed() if entry["workflowId"] == "list-projects")
        code, _, err = m.call("dataiku", "wait", other)
        assert code == 2
        assert f"run '{other}' is one of workflow 'list-projects', not of a scenario" in err
        assert m.listed()[-1]["status"] == "interrupted"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"])
def test_an_interruption_names_both_ways_to_go_on(tmp_path, number, code):
    with machine(tmp_path, faults=[_hanging("*/2016*", 2)]) as m:
        ended, out, _ = m.stopped(RUN, 2, number)
        assert ended == code
        (entry,) = m.listed()
        assert (entry["status"], entry["workflowId"]) == ("interrupted", "run-scenario")
        assert "  to go on waiting: treadle dataiku wait DEMO.NIGHTLY/2016-04-15-14-57-41-101\n" in out
        assert f"  hint: to go on with this very run: treadle runs resume {entry['runId']}\n" in out
        assert 'input scenarioId: "NIGHTLY"\n' in m.call("runs", "show", entry["runId"])[1]
        assert m.resumed()[0]["outcome"] == "SUCCESS"
        assert m.fires == 1


def test_a_stop_does_not_wait_for_a_server_that_hangs(tmp_path):
    lost = "do=drop,method=POST,path=*/run,effect=true,count=1"
    with machine(tmp_path, faults=[lost, _hanging("*/2016*", 2), "do=hang,path=*/trigger/*"]) as m:
        code, out, _ = m.stopped(RUN, 2, signal.SIGINT, limit=10)  # where nobody stops it, it looks for 15 s
        assert code == 130
        assert "  to go on waiting: treadle dataiku wait DEMO.NIGHTLY/2016-04-15-14-57-41-101\n" in out
        assert m.fires == 1


def test_each_scenario_is_a_run_of_its_own(tmp_path):
    with machine(tmp_path, faults=[_hanging("*/2016*", 1, count=3)]) as m:
        process = m.begin("dataiku", "run", "DEMO", "NIGHTLY", "BROKEN", "PY_CLEANUP")
        assert m.arrivals.wait_until(lambda lines: sum("/2016" in line for line in lines) == 3, LIMIT)
        lines = m.listed()
        assert [entry["stepId"] for entry in lines] == ["readRun"] * 3
        assert {entry["inputs"]["scenarioId"] for entry in lines} == {"NIGHTLY", "BROKEN", "PY_CLEANUP"}
        process.kill()
        m.end(process)
        code, out, err = m.call("runs", "resume")
        assert code == 1, err
        assert sorted(each["outcome"] for each in json.loads(out).values()) == ["FAILED", "SUCCESS", "SUCCESS"]
        assert m.fires == 1


def test_limits_are_those_of_the_run(tmp_path):
    with machine(tmp_path, scenarios=["id=STUCK,type=custom_python,starts=false"]) as m:
        assert m.call("dataiku", "run", "DEMO", "STUCK", "--start-timeout", "0.3")[0] == 3
        assert m.call("dataiku", "run", "DEMO", "ENDLESS", "--timeout", "0.7")[0] == 3
        assert [entry["status"] for entry in m.listed()] == ["limited", "failed"]


def test_what_only_reads_and_what_is_not_to_be_kept_is_not_in_the_journal(tmp_path):
    with machine(tmp_path) as m:
        assert m.call("dataiku", "run", "DEMO", "NIGHTLY", "--no-journal")[0] == 0
        assert m.call("dataiku", "run", "DEMO", "NIGHTLI")[0] == 2
        assert m.call("dataiku", "run", "DEMO", "NIGHTLY", "--dry-run")[0] == 0
        assert m.listed() == []
        assert m.call("dataiku", "run", "DEMO", "NIGHTLY", "--keep", "1s")[0] == 0
        assert [entry["status"] for entry in m.listed()] == ["succeeded"]


def test_a_journal_that_is_taken_away_ends_the_wait_with_the_way_to_go_on(tmp_path):
    with machine(tmp_path, faults=[_hanging("*/2016*", 2)]) as m:
        process = m.begin("dataiku", "run", "DEMO", "NIGHTLY", "--request-timeout", "1")
        assert m.arrivals.wait_for(RUN, 2, LIMIT)
        (tmp_path / "j.sqlite").unlink()
        code, out, err = m.end(process)
        assert code == 4, err
        assert "j.sqlite cannot be written: it is not there any more; what was started goes on there" in out
        assert "  to go on waiting: treadle dataiku wait DEMO.NIGHTLY/2016-04-15-14-57-41-101\n" in out


def test_a_journal_that_cannot_be_opened_is_said_before_anything_is_triggered(tmp_path):
    (tmp_path / "j.sqlite").write_text("no journal" * 1000)
    with machine(tmp_path) as m:
        code, _, err = m.call("dataiku", "run", "DEMO", "NIGHTLY")
        assert code == 2
        assert "j.sqlite cannot be opened: it is no journal" in err
        assert m.fires == 0
