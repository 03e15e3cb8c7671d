"""`treadle runs`: what becomes of runs whose processes are killed, interrupted or asked by others, and how they go on."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import time
from contextlib import closing, contextmanager

import pytest
from cli_case import LIMIT, NEVER, TREADLE, environment, killed_in_the_end, shared_files
from cli_server import Answer, scripted

LOOK, START, STATUS = "GET /jobs/nightly", "POST /jobs/nightly/start", "GET /jobs/nightly/status"
RUNNING, DONE = Answer(json={"running": True, "result": "half"}), Answer(json={"running": False, "result": "whole"})
JOB = {LOOK: [Answer(json={"name": "nightly"})], START: [Answer(json={"run": "r1"})], STATUS: [RUNNING, DONE]}
PATIENT = ("--poll-interval", "60")
FIELDS = ["runId", "workflowId", "status", "startedAt", "stepId", "waitsUntil", "updatedAt", "endedAt"]
"""What a list and `show` both say of a run."""

CALLS = """
arazzo: 1.0.1
info: {title: calls, version: "1"}
sourceDescriptions: [{name: jobs, url: jobs.openapi.yaml, type: openapi}]
workflows:
- workflowId: outer
  steps:
  - {stepId: call, workflowId: inner}
  - {stepId: after, operationId: getStatus, parameters: [{name: name, in: path, value: nightly}]}
- workflowId: inner
  steps:
  - {stepId: look, operationId: getJob, parameters: [{name: name, in: path, value: nightly}]}
  - {stepId: start, operationId: startJob, parameters: [{name: name, in: path, value: nightly}]}
"""


class Machine:
    """A folder, a server, and the processes that are started there."""

    def __init__(self, tmp, server):
        self.tmp = tmp
        self.server = server
        self.processes = []
        for name, text in shared_files().items():
            (tmp / name).write_text(text, "utf-8")

    @property
    def seen(self):
        return [request.line for request in self.server.seen]

    def begin(self, *arguments, **env):
        process = subprocess.Popen(
            [*TREADLE, *arguments], cwd=self.tmp, env=environment(self.tmp, {"TREADLE_STATE": "j.sqlite", **env}),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.processes.append(process)
        return process

    def run_job(self, *more, **env):
        url = f"http://127.0.0.1:{self.server.port}"
        return self.begin("run", "job.yaml", "-i", "name=nightly", "--server", url, *more, **env)

    def call(self, *arguments, **env):
        return self.end(self.begin(*arguments, **env))

    def end(self, process):
        out, err = process.communicate(timeout=LIMIT)
        assert not [text for text in NEVER if text in out + err], out + err
        return process.returncode, out, err

    def listed(self, *more):
        code, out, err = self.call("runs", "list", "--json", *more)
        assert (code, err) == (0, ""), err
        return json.loads(out)

    def arrived(self, line, count=1):
        assert self.server.wait_for(line, count, LIMIT), f"no {line}"

    def until(self, status, *more):
        """Give the latest run when it has that status; bounded, and what it waits for is in the journal."""
        end = time.monotonic() + LIMIT
        while (found := self.listed(*more))[0]["status"] != status:
            assert time.monotonic() < end, found
        return found[0]

    def killed(self, at, *more, **env):
        """Begin a run and kill its process when that request has come in; give its id."""
        process = self.run_job(*more, **env)
        self.arrived(at)
        if at == STATUS:
            self.until("waiting")
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return self.listed()[0]["runId"]


@contextmanager
def machine(tmp, script=JOB):
    with scripted(script) as server:
        found = Machine(tmp, server)
        with killed_in_the_end(found.processes):
            yield found


def test_a_run_that_was_interrupted_goes_on_where_it_stood(tmp_path):
    with machine(tmp_path) as m:
        process = m.run_job("--poll-interval", "60")
        m.arrived(STATUS)
        assert m.until("waiting")["waitsUntil"] > m.listed()[0]["updatedAt"]
        process.send_signal(signal.SIGTERM)
        code, _, err = m.end(process)
        assert code == 143
        (entry,) = m.listed("--status", "interrupted", "--workflow", "run-job", "--limit", "1")
        assert list(entry) == [*FIELDS, "inputs"]
        assert entry["inputs"] == {"name": "nightly"}
        assert (entry["status"], entry["stepId"], entry["endedAt"]) == ("interrupted", "poll", None)
        assert f"hint: go on with it: treadle runs resume {entry['runId']}\n" in err
        assert m.listed("--status", "failed") == m.listed("--workflow", "other") == []
        shown = json.loads(m.call("runs", "show", entry["runId"], "--json")[1])
        assert {name: shown[name] for name in (*FIELDS, "inputs")} == entry
        assert shown["waits"] == [{"stepId": "poll", "until": entry["waitsUntil"], "reason": "poll"}]
        assert shown["inDoubt"] == []
        assert [step["stepId"] for step in shown["steps"]] == ["look", "start", "poll"]
        assert [each["event"] for each in shown["timeline"]][-2:] == ["step-ended", "waiting"]
        assert m.seen == [LOOK, START, STATUS]


def test_a_killed_run_is_interrupted_at_once_and_resumed_by_the_beginning_of_its_id(tmp_path):
    with machine(tmp_path) as m:
        run_id = m.killed(STATUS, "--poll-interval", "2")
        assert m.listed()[0]["status"] == "interrupted"
        code, out, err = m.call("runs", "resume", run_id[:6])
        assert (code, json.loads(out)) == (0, {"run": "r1", "result": "whole"}), err
        assert m.seen == [LOOK, START, STATUS, STATUS]
        # Once more: it has ended, nothing is sent, and the answer is the same.
        assert m.call("runs", "resume", run_id)[:2] == (code, out)
        assert m.seen == [LOOK, START, STATUS, STATUS]
        code, out, _ = m.call("runs", "logs", run_id)
        assert code == 0
        assert "poll: waiting 2.0 s (poll)" in out
        assert out.splitlines()[-1].endswith(" s succeeded")
        code, out, _ = m.call("runs", "logs", run_id, "--json")
        assert json.loads(out.splitlines()[-1])["event"] == "run-ended"
        code, out, _ = m.call("runs", "show", run_id)
        assert out.startswith(f"run {run_id}: succeeded\nworkflow run-job, started ")
        words = m.call("runs", "list")[1].splitlines()[1].split()
        assert [*words[:2], *words[3:]] == [run_id, "succeeded", "run-job", "poll", "name=nightly"]
        assert m.call("runs", "cancel", run_id)[0] == 2


def test_a_flag_that_a_run_began_with_goes_on_until_it_is_taken_back(tmp_path):
    said = "warning[insecure]: TLS certificates are not verified"
    with machine(tmp_path, {**JOB, STATUS: [RUNNING, DONE, RUNNING, DONE]}) as m:
        for more, is_said in (((), True), (("--no-insecure",), False)):
            run_id = m.killed(STATUS, "--poll-interval", "2", "--insecure")
            code, _, err = m.call("runs", "resume", run_id, *more)
            assert (code, said in err) == (0, is_said), err
        assert m.seen.count(START) == 2


def test_a_request_in_doubt_is_said_and_skipped(tmp_path):
    with machine(tmp_path, {**JOB, START: [Answer(special="hang")]}) as m:
        run_id = m.killed(START)
        (entry,) = m.listed()
        assert (entry["status"], entry["stepId"]) == ("in-doubt", "start")
        (doubt,) = json.loads(m.call("runs", "show", run_id, "--json")[1])["inDoubt"]
        url = f"http://127.0.0.1:{m.server.port}/jobs/nightly/start"
        assert doubt == {
            "stepId": "start",
            "request": {"method": "POST", "url": url},
            "since": doubt["since"],
            "rule": False,
        }
        assert f"in doubt: step 'start', POST {url}, since {doubt['since']}\n" in m.call("runs", "show", run_id)[1]
        code, _, err = m.call("runs", "resume", run_id)
        assert code == 4
        assert f"treadle: step 'start': POST {url} was to be sent at {doubt['since']}" in err
        assert f"treadle runs resume {run_id} --in-doubt retry|skip=JSON|fail" in err
        assert m.listed()[0]["status"] == "in-doubt"
        assert m.call("runs", "cancel", run_id)[0] == 2
        for wrong in ("maybe", "skip=7", "skip=[", 'skip={"ran": "r9"}'):
            code, _, err = m.call("runs", "resume", run_id, "--in-doubt", wrong)
            assert code == 2, err
        assert "treadle: step 'start' has no output 'ran' that it could be skipped with\n  hint: it has: run\n" in err
        code, out, err = m.call("runs", "resume", run_id, "--in-doubt", 'skip={"run": "r9"}')
        assert (code, json.loads(out)["run"]) == (0, "r9"), err
        assert m.seen.count(START) == 1


def test_whoever_cancels_a_run_in_doubt_is_told_of_it(tmp_path):
    with machine(tmp_path, {**JOB, START: [Answer(special="hang")]}) as m:
        run_id = m.killed(START)
        said = f"run {run_id}: cancelled; whether the request of step 'start' took effect is not known\n"
        assert m.call("runs", "cancel", run_id)[::2] == (0, said)
        assert m.listed()[0]["status"] == "cancelled"


def test_a_run_whose_records_are_gone_is_not_begun_anew(tmp_path):
    with machine(tmp_path, {**JOB, START: [Answer(special="hang")]}) as m:
        run_id = m.killed(START)
        with closing(sqlite3.connect(tmp_path / "j.sqlite")) as journal, journal:
            journal.execute("DELETE FROM turns")
        code, _, err = m.call("runs", "resume", run_id)
        assert code == 1
        assert f"treadle: the journal j.sqlite has nothing of what happened in run '{run_id}'\n  hint: " in err
        assert m.seen.count(START) == 1


def test_a_doubt_that_was_decided_is_none_any_more(tmp_path):
    with machine(tmp_path, {**JOB, START: [Answer(special="hang")]}) as m:
        run_id = m.killed(START)
        code, _, err = m.call("runs", "resume", run_id, "--in-doubt", "fail")
        assert code == 1
        assert "--in-doubt" not in err
        assert m.listed()[0]["status"] == "failed"


def test_whoever_makes_a_new_run_of_one_in_doubt_is_warned(tmp_path):
    with machine(tmp_path, {**JOB, START: [Answer(special="hang"), Answer(json={"run": "r2"})], STATUS: [DONE]}) as m:
        run_id = m.killed(START)
        code, _, err = m.call("runs", "retry", run_id)
        assert code == 0
        assert f"warning[in-doubt]: run {run_id} is in doubt at step 'start': its request may have taken effect" in err


def test_hints_name_the_journal_where_it_is_another_one(tmp_path):
    with machine(tmp_path, {**JOB, STATUS: [RUNNING] * 9}) as m:
        process = m.run_job("--poll-interval", "2", "--state", "other.sqlite")
        m.arrived(STATUS)
        run_id = m.until("waiting", "--state", "other.sqlite")["runId"]
        process.kill()
        m.end(process)
        assert m.listed() == []
        at = f"treadle runs resume --state other.sqlite {run_id}"
        assert f"to go on: {at}\n" in m.call("runs", "show", run_id, "--state", "other.sqlite")[1]
        process = m.begin("runs", "resume", run_id, "--state", "other.sqlite", "--json")
        m.arrived(STATUS, 2)
        process.send_signal(signal.SIGINT)
        code, out, err = m.end(process)
        assert code == 130
        assert json.loads(out)["error"]["hint"] == f"go on with it: {at}"
        assert f"  hint: go on with it: {at}\n" in err


def test_a_damaged_run_is_no_reason_to_leave_the_others(tmp_path):
    with machine(tmp_path, {**JOB, STATUS: [RUNNING, RUNNING, DONE]}) as m:
        damaged = m.killed(STATUS, "--poll-interval", "60")
        process = m.run_job("--poll-interval", "2")
        m.arrived(STATUS, 2)
        whole = m.until("waiting")["runId"]
        process.kill()
        m.end(process)
        with closing(sqlite3.connect(tmp_path / "j.sqlite")) as journal, journal:
            journal.execute("UPDATE turns SET body = x'00112233' WHERE run = 1 AND step IS NOT NULL")
            journal.execute("UPDATE runs SET start = x'00112233' WHERE number = 1")
        assert [(entry["runId"], entry["inputs"]) for entry in m.listed()] == [
            (whole, {"name": "nightly"}),
            (damaged, {}),
        ]
        code, out, err = m.call("runs", "resume")
        assert (code, list(json.loads(out))) == (1, [whole]), err
        said = f"run {damaged}:\ntreadle: run '{damaged}' is damaged in the journal "
        assert said in err
        assert "\n  hint: delete it to be rid of it; the other runs are not concerned\n" in err
        assert m.call("runs", "delete", damaged)[0] == 0


def test_a_request_in_doubt_is_sent_again_on_request(tmp_path):
    with machine(tmp_path, {**JOB, START: [Answer(special="hang"), Answer(json={"run": "r2"})]}) as m:
        m.killed(START)
        code, _, err = m.call("runs", "resume")
        assert (code, err.splitlines()[-1]) == (4, "0 runs resumed, 1 still in doubt")
        code, out, err = m.call("runs", "resume", "--in-doubt", "retry")
        assert code == 0, err
        assert [found["run"] for found in json.loads(out).values()] == ["r2"]
        assert m.seen.count(START) == 2


def test_runs_of_a_dead_process_are_all_resumed_and_the_worst_code_counts(tmp_path):
    script = {**JOB, STATUS: [RUNNING, RUNNING, DONE], START: [Answer(json={"run": "r1"}), Answer(special="hang")]}
    with machine(tmp_path, script) as m:
        assert m.call("runs", "resume")[:2] == (0, "{}\n")
        first = m.killed(STATUS, "--poll-interval", "2")
        m.server.seen.clear()
        second = m.killed(START)
        assert m.call("runs", "show", "")[0] == 2
        code, out, err = m.call("runs", "resume", "--json", "--report", "all.json")
        assert code == 4
        assert {report["runId"]: report["status"] for report in json.loads(out)} == {
            first: "succeeded",
            second: "in-doubt",
        }
        assert json.loads((tmp_path / "all.json").read_text()) == json.loads(out)
        assert f"run {first}: succeeded\n" in err


def test_cancelled_from_another_process_in_a_pause(tmp_path):
    with machine(tmp_path) as m:
        process = m.run_job(*PATIENT)
        m.arrived(STATUS)
        entry = m.until("waiting")
        code, _, err = m.call("runs", "cancel", entry["runId"][:8])
        assert (code, err) == (0, f"run {entry['runId']}: cancelled\n")
        assert m.end(process)[0] == 130
        assert m.listed()[0]["status"] == "cancelled"
        assert m.seen == [LOOK, START, STATUS]


def test_cancelling_breaks_no_request(tmp_path):
    with machine(tmp_path, {**JOB, START: [Answer(special="hold", json={"run": "r1"})]}) as m:
        process = m.run_job()
        m.arrived(START)
        entry = m.until("running")
        code, _, err = m.call("runs", "cancel", entry["runId"])
        assert (code, err) == (
            0,
            f"run {entry['runId']}: will be cancelled when its request under way has its answer\n",
        )
        m.server.let_go.set()
        code, out, _ = m.end(process)
        assert (code, json.loads(out)["run"]) == (130, "r1")
        assert m.listed()[0]["status"] == "cancelled"
        assert m.seen == [LOOK, START]


def test_a_run_that_nobody_drives_is_cancelled_too(tmp_path):
    with machine(tmp_path) as m:
        run_id = m.killed(STATUS, *PATIENT)
        assert m.call("runs", "cancel", run_id)[0] == 0
        assert m.listed()[0]["status"] == "cancelled"
        code, _, err = m.call("runs", "resume", run_id)
        assert code == 130
        assert "treadle: cancelled at step 'poll' while nobody drove it" in err


def test_a_signal_lets_a_request_have_its_answer(tmp_path):
    with machine(tmp_path, {**JOB, START: [Answer(special="hold", json={"run": "r1"})], STATUS: [DONE]}) as m:
        process = m.run_job()
        m.arrived(START)
        process.send_signal(signal.SIGINT)
        m.server.let_go.set()
        assert m.end(process)[0] == 130
        assert m.listed()[0]["status"] == "interrupted"
        code, out, _ = m.call("runs", "resume")
        assert (code, [*json.loads(out).values()]) == (0, [{"run": "r1", "result": "whole"}])
        assert m.seen == [LOOK, START, STATUS]


@pytest.mark.parametrize("ends", ["signal", "cancel"])
def test_what_waits_for_its_turn_was_not_sent(tmp_path, ends):
    with machine(tmp_path, {**JOB, STATUS: [DONE]}) as m:
        process = m.run_job("--rate", "1/h", "-v")
        line = ""
        while "start: waiting" not in line:
            line = process.stderr.readline()
        run_id = m.listed()[0]["runId"]
        if ends == "cancel":
            assert m.call("runs", "cancel", run_id)[::2] == (0, f"run {run_id}: cancelled\n")
            assert m.end(process)[0] == 130
            assert m.listed()[0]["status"] == "cancelled"
            return
        process.send_signal(signal.SIGTERM)
        assert m.end(process)[0] == 143
        assert m.listed()[0]["status"] == "interrupted"
        code, out, err = m.call("runs", "resume", "--rate", "1000/s")
        assert (code, [*json.loads(out).values()]) == (0, [{"run": "r1", "result": "whole"}]), err
        assert m.seen == [LOOK, START, STATUS]
        timeline = json.loads(m.call("runs", "show", run_id, "--json")[1])["timeline"]
        events = [each["event"] for each in timeline if each.get("stepId") == "start" or each["event"] == "withdrawn"]
        assert events == ["step-began", "withdrawn", "step-began", "step-ended"]


def test_what_a_signal_came_before_was_not_sent(tmp_path):
    with machine(tmp_path, {**JOB, LOOK: [Answer(special="hold", json={"name": "nightly"})], STATUS: [DONE]}) as m:
        process = m.run_job()
        m.arrived(LOOK)
        process.send_signal(signal.SIGINT)
        m.server.let_go.set()
        assert m.end(process)[0] == 130
        assert (m.listed()[0]["status"], m.listed()[0]["stepId"]) == ("interrupted", "start")
        assert m.call("runs", "resume")[0] == 0
        assert m.seen == [LOOK, START, STATUS]


def test_what_was_announced_anew_and_sent_is_in_doubt_again(tmp_path):
    with machine(tmp_path, {**JOB, START: [Answer(special="hang")]}) as m:
        process = m.run_job("--rate", "1/h", "-v")
        line = ""
        while "start: waiting" not in line:
            line = process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert m.end(process)[0] == 143
        resumed = m.begin("runs", "resume", m.listed()[0]["runId"], "--rate", "1000/s")
        m.arrived(START)
        resumed.send_signal(signal.SIGKILL)
        resumed.communicate()
        assert m.listed()[0]["status"] == "in-doubt"
        assert m.call("runs", "resume", "-q")[0] == 4
        assert m.seen.count(START) == 1


def test_a_second_signal_stops_at_once(tmp_path):
    with machine(tmp_path, {**JOB, START: [Answer(special="hang")]}) as m:
        process = m.run_job()
        m.arrived(START)
        process.send_signal(signal.SIGINT)
        while process.poll() is None:  # the first one may not have been taken yet
            process.send_signal(signal.SIGTERM)
            time.sleep(0.02)
        code, out, err = m.end(process)
        assert (code, out) == (143, "")
        assert err.endswith("treadle: interrupted by SIGTERM; treadle runs list shows what can be resumed\n")
        assert m.listed()[0]["status"] == "in-doubt"


def test_many_processes_resume_one_run_and_one_of_them_does(tmp_path):
    with machine(
        tmp_path, {**JOB, STATUS: [RUNNING, Answer(special="hold", json={"running": False, "result": "whole"})]}
    ) as m:
        run_id = m.killed(STATUS, "--poll-interval", "2")
        before = m.seen.count(STATUS)
        processes = [m.begin("runs", "resume", run_id) for _ in range(6)]
        end = time.monotonic() + LIMIT
        while sum(process.poll() is None for process in processes) > 1:
            assert time.monotonic() < end
            time.sleep(0.02)
        m.arrived(STATUS, before + 1)
        m.server.let_go.set()
        ended = [m.end(process) for process in processes]
        assert sorted(code for code, _, _ in ended) == [0, 2, 2, 2, 2, 2]
        refused = f"treadle: run '{run_id}' is being driven already\n"
        assert sum(err.startswith(refused) for _, _, err in ended) == 5
        assert m.seen.count(STATUS) == before + 1
        assert m.seen.count(START) == 1


def test_what_was_done_before_a_step_is_taken_over(tmp_path):
    with machine(tmp_path, {**JOB, STATUS: [DONE]}) as m:
        assert m.end(m.run_job())[0] == 0
        (entry,) = m.listed()
        code, out, err = m.call("runs", "retry", entry["runId"], "--from", "poll")
        assert (code, json.loads(out)) == (0, {"run": "r1", "result": "whole"}), err
        assert m.seen == [LOOK, START, STATUS, STATUS]
        assert m.call("runs", "retry", entry["runId"], "--from", "start", "-q")[0] == 0
        assert m.seen[4:] == [START, STATUS]
        assert m.call("runs", "retry", entry["runId"], "-q")[0] == 0
        assert m.seen[6:] == [LOOK, START, STATUS]
        assert len({found["runId"] for found in m.listed()}) == 4
        code, _, err = m.call("runs", "retry", entry["runId"], "--from", "pol")
        assert code == 2
        assert "did not come to a step 'pol'\n  hint: it came to: look, poll, start\n" in err


def test_logs_follow_a_run_to_its_end(tmp_path):
    with machine(tmp_path, {**JOB, START: [Answer(special="hold", json={"run": "r1"})], STATUS: [DONE]}) as m:
        process = m.run_job()
        m.arrived(START)
        following = m.begin("runs", "logs", m.until("running")["runId"], "--follow")
        line = ""
        while "start: POST" not in line:
            line = following.stdout.readline()
        m.server.let_go.set()
        assert m.end(process)[0] == 0
        code, out, _ = m.end(following)
        assert code == 0
        assert out.splitlines()[-1].endswith("succeeded")


def test_a_secret_is_asked_for_again_and_shown_nowhere(tmp_path):
    secret = "k3y-of-the-job"
    with machine(tmp_path, {**JOB, START: [Answer(json={"run": "{authorization}"})]}) as m:  # the answer tells it too
        run_id = m.killed(STATUS, "-i", f"apiKey={secret}", "--poll-interval", "2")
        code, _, err = m.call("runs", "resume", run_id)
        assert code == 2
        assert "hint: give it again: -i apiKey=env:VARIABLE" in err
        assert m.call("runs", "resume", run_id, "-i", "name=other")[2].startswith(
            "treadle: input 'name' cannot be given again: the run keeps the one it began with\n"
        )
        texts = m.call("runs", "show", run_id, "--json")[1] + m.call("runs", "show", run_id)[1]
        assert "input apiKey: secret, from given\n" in texts
        assert '"run": "Bearer ***"' in texts
        assert m.call("runs", "resume", run_id, "-i", "apiKey=env:ROTATED", ROTATED="an0ther")[0] == 0
        assert [seen.headers["authorization"] for seen in m.server.seen][-1] == "Bearer an0ther"
        texts += m.call("runs", "logs", run_id)[1] + m.call("runs", "logs", run_id, "--json")[1]
        assert secret not in texts
        for file in tmp_path.glob("j.sqlite*"):
            assert file.is_dir() or secret.encode() not in file.read_bytes()


def test_what_has_ended_is_deleted_and_what_has_not_is_kept(tmp_path):
    with machine(tmp_path, {**JOB, STATUS: [RUNNING, DONE]}) as m:
        waiting = m.killed(STATUS, *PATIENT)
        assert m.end(m.run_job())[0] == 0
        assert m.call("runs", "delete")[0] == 2
        assert m.call("runs", "delete", "--keep", "1 fortnight")[0] == 2
        assert m.call("runs", "delete", "--keep", "1h")[2] == "0 runs deleted\n"
        assert m.call("runs", "delete", "--keep", "0s")[2] == "1 run deleted\n"
        assert [entry["runId"] for entry in m.listed()] == [waiting]
        assert m.end(m.run_job("-q", TREADLE_KEEP="0s"))[0] == 0
        assert [entry["runId"] for entry in m.listed()] == [waiting]
        assert m.call("runs", "delete", waiting)[2] == "1 run deleted\n"
        assert m.call("runs", "list")[1:] == ("", "no runs\n")


def test_no_journal_is_as_good_as_an_empty_one(tmp_path):
    with machine(tmp_path) as m:
        assert m.listed() == []
        assert m.call("runs", "list")[1:] == ("", "no runs: there is no journal j.sqlite\n")
        assert m.call("runs", "show", "5f2a")[0] == 2
        assert not (tmp_path / "j.sqlite").exists()


@pytest.mark.parametrize("place", ["option", "variable"])
def test_a_hint_names_the_journal_where_it_has_to(place, tmp_path):
    with machine(tmp_path) as m:
        process = m.run_job(*PATIENT, *(("--state", "my own.sqlite") if place == "option" else ()))
        m.arrived(STATUS)
        process.send_signal(signal.SIGINT)
        _, _, err = m.end(process)
        assert ("treadle runs resume --state 'my own.sqlite' " in err) is (place == "option")


def test_a_step_of_a_called_workflow_is_named_behind_the_one_that_calls_it(tmp_path):
    script = {**JOB, LOOK: [Answer(huge=70_000)], STATUS: [DONE]}  # what is read is folded away at once
    with machine(tmp_path, script) as m:
        (tmp_path / "calls.yaml").write_text(CALLS)
        url = f"http://127.0.0.1:{m.server.port}"
        assert m.call("run", "calls.yaml", "outer", "--server", url)[0] == 0
        run_id = m.listed()[0]["runId"]
        code, _, err = m.call("runs", "retry", run_id, "--from", "call/start")
        came = "came to step 'call/start', but what its workflow had done before is no longer kept"
        assert err == f"treadle: run '{run_id}' {came}\n  hint: begin with the step that calls it: --from call\n"
        assert code == 2
        m.server.seen.clear()
        assert m.call("runs", "retry", run_id, "--from", "call")[0] == 0
        assert m.seen == [LOOK, START, STATUS]
        code, _, err = m.call("runs", "retry", run_id, "--from", "start")
        assert (code, err.splitlines()[1]) == (2, "  hint: it came to: after, call")
