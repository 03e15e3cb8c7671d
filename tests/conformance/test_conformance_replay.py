"""A run that is recorded and replayed without its server comes to the same end, by the same steps, with the same outputs."""

import json

import jsonschema_rs
import pytest
from suite_under_test import CASES, OPTIONS, ROOT, scripted, write

import treadle

SCHEMA = jsonschema_rs.validator_for(json.loads((ROOT / "tests" / "har-1.2.schema.json").read_text("utf-8")))
TIMES = {"startedAt", "duration", "runId"}


def _without_times(value):
    if isinstance(value, dict):
        return {name: _without_times(entry) for name, entry in value.items() if name not in TIMES}
    return [_without_times(entry) for entry in value] if isinstance(value, list) else value


def _ran(case, folder, **option):
    """Run a case and give what is to be the same, or what was said where it is refused."""
    try:
        outcome = treadle.run(folder / case.document, case.workflow_id, case.inputs, **OPTIONS, **option)
    except treadle.TreadleError as error:
        return str(error)
    return _without_times(outcome.report())


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_the_round_trip(case, tmp_path):
    recording = tmp_path / "recording.har"
    with scripted(case.script) as server:
        places = {"server": server.url, "folder": str(tmp_path)}
        server.documents = write(case, tmp_path, places)
        recorded = _ran(case, tmp_path, record=str(recording))
        seen = len(server.seen)
    if not recording.exists():
        assert seen == 0  # it was refused, so there is nothing to replay
        return
    archive = json.loads(recording.read_text("utf-8"))
    assert [str(error) for error in SCHEMA.iter_errors(archive)] == []
    assert _ran(case, tmp_path, replay=str(recording)) == recorded
