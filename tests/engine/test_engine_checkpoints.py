"""Checkpoints: a run goes on from one as from all its records, anywhere, and no secret input is in it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import NOON, limits, play, program
from test_engine_laws import CASES
from test_engine_properties import LIMITS, _answered, _played, _program, answers, workflows

from treadle.engine import journal
from treadle.engine.effects import HttpResponse, SendHttp
from treadle.engine.interpreter import NotPending, Run
from treadle.engine.journal import read, write
from treadle.engine.report import History, report
from treadle.engine.withheld import Withheld, storable
from treadle.files import Binary, File, json_form


def _written(*records):
    return [read(write(record)) for record in records]


def _with_checkpoints(run, script, wanted, now=NOON):
    """Play a run to its end, with a checkpoint after each effect that is wanted; gives effects and journal."""
    effects, records, sent = [], run.begin(now), 0
    while pending := run.pending():
        if wanted(len(effects)):
            records.append(run.checkpoint(now, _history(records).folded()))
        (effect,) = pending
        effects.append(effect)
        result, now = _answered(effect, script, sent, now)
        sent += isinstance(effect, SendHttp)
        records += run.deliver(effect.id, result, now)
    return effects, records


def _history(records):
    history = History()
    for record in records:
        history.add(record)
    return history


def _scripted(case):
    from scripted import answer  # noqa: PLC0415

    return [(answer(line), line.get("took", 0)) for line in case["script"]]


@pytest.mark.parametrize("case", CASES)
def test_a_run_goes_on_from_a_checkpoint_at_every_point(case):
    def run(records=()):
        return Run(program(case), case.get("inputs", {}), limits(case), records)

    script = _scripted(case) or [(HttpResponse(200), 0)]
    effects, records = _with_checkpoints(run(), script, lambda _: True)
    whole = play(run(), case["script"])
    points = [at for at, record in enumerate(records) if isinstance(record, journal.Checkpoint)]
    assert len(points) == len(effects)
    for performed, at in enumerate(points):
        again = run(_written(records[at]))
        assert again.unwritten == []
        assert again.checkpoint(records[at].at, records[at].folded) == records[at]
        sent = sum(isinstance(effect, SendHttp) for effect in effects[:performed])
        resumed = play(again, case["script"][sent:], now=again.since)
        assert resumed.effects == whole.effects[performed:]
        assert resumed.outcome == whole.outcome
        # The report is what it would have been without an interruption.
        told = report("r", "w", _history([*_written(records[at]), *resumed.records]), [])
        assert told == report("r", "w", _history(whole.records), [])


@settings(max_examples=60, deadline=None)
@given(workflows(), answers(), st.sets(st.integers(0, 12)))
def test_a_run_resumes_from_every_prefix_with_checkpoints_anywhere(flows, script, at):
    compiled = _program(flows)
    if compiled is None:
        return
    effects, _, outcome = _played(Run(compiled, {"n": 1}, LIMITS), script)
    same, records = _with_checkpoints(Run(compiled, {"n": 1}, LIMITS), script, lambda count: count in at)
    assert same == effects
    for end in range(1, len(records) + 1):
        prefix = _written(*records[:end])
        done = sum(isinstance(record, journal.Delivered) for record in prefix)
        sent = sum(isinstance(effect, SendHttp) for effect in effects[:done])
        run = Run(compiled, {"n": 1}, LIMITS, journal=prefix)
        again, _, ended = _played(run, script, sent, run.since)
        assert again == effects[done:]
        assert ended == outcome


@settings(max_examples=60, deadline=None)
@given(workflows(), answers())
def test_a_journal_that_ends_within_a_turn_says_what_is_not_written_yet(flows, script):
    compiled = _program(flows)
    if compiled is None:
        return
    _, records, _ = _played(Run(compiled, {"n": 1}, LIMITS), script)
    turns = [at for at, record in enumerate(records) if isinstance(record, journal.RunBegan | journal.Delivered)]
    for end in range(1, len(records) + 1):
        until = next((at for at in turns if at >= end), len(records))
        run = Run(compiled, {"n": 1}, LIMITS, journal=records[:end])
        assert run.take_unwritten() == records[end:until]
        assert not run.unwritten


SECRET = {
    "workflow": {"inputs": {"properties": {"apiKey": {}, "n": {}}}, "outputs": {"seen": "$steps.one.outputs.seen"}},
    "steps": [
        {"stepId": "one", "operationId": "a", "outputs": {"seen": "bearer {$inputs.apiKey}!", "key": "$inputs.apiKey"}},
        {
            "stepId": "two", "workflowId": "inner",
            "parameters": [{"name": "apiKey", "value": "$inputs.apiKey"}, {"name": "n", "value": "$inputs.n"}],
        },
    ],
    "workflows": [
        {
            "workflowId": "inner",
            "inputs": {"properties": {"apiKey": {}, "n": {}}},
            "steps": [
                {
                    "stepId": "in", "operationId": "startJob",
                    "parameters": [{"name": "Authorization", "in": "header", "value": "Bearer {$inputs.apiKey}"}],
                },
            ],
        }
    ],
}  # fmt: skip


def test_a_checkpoint_holds_no_secret_input_and_a_new_one_takes_its_place():
    run = Run(program(SECRET), {"apiKey": "first-key", "n": 1})
    run.begin(NOON)
    run.deliver("one/1/1", HttpResponse(200), NOON)
    checkpoint = run.checkpoint(NOON)
    assert b"first-key" not in write(checkpoint)
    again = Run(program(SECRET), {"apiKey": "second-key", "n": 1}, journal=_written(checkpoint))
    (effect,) = again.pending()
    assert effect.request.headers == (("Authorization", "Bearer second-key"),)
    again.deliver(effect.id, HttpResponse(200), NOON)
    assert again.outcome.outputs == {"seen": "bearer second-key!"}


def test_a_checkpoint_of_another_workflow_is_refused():
    run = Run(program(SECRET), {"apiKey": "first-key", "n": 1})
    run.begin(NOON)
    checkpoint = msgspec.structs.replace(run.checkpoint(NOON), workflow_id="other")
    with pytest.raises(NotPending, match="one of workflow 'other'"):
        Run(program(SECRET), {}, journal=[checkpoint])


def test_a_run_that_has_not_begun_or_has_ended_has_no_checkpoint():
    run = Run(program(SECRET), {"apiKey": "first-key", "n": 1})
    assert run.checkpoint(NOON) is None
    run.begin(NOON)
    run.deliver("one/1/1", HttpResponse(404), NOON)
    assert run.outcome.status == "failed"
    assert run.checkpoint(NOON) is None


LETTER = File("letter.txt", "letter.txt")
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from(["s3cret", "with s3cret in it", "s3crets3cret", "x"])
    | st.sampled_from([LETTER, Binary(b"\xff\0", "image/png"), Binary(b"", "")]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["$secret", "$plain", "$file", "$binary", "a", "token"]), inner, max_size=2)
    ),
    max_leaves=8,
)


@given(JSON, st.sampled_from(["s3cret", 3, ["x"], {"$secret": "token"}]), st.sampled_from(["n3w", "s3cret"]))
def test_marks_come_back_as_what_they_stand_for(value, secret, other):
    files = {"letters": [LETTER]}
    withheld = Withheld({"token": secret, "more": "s3cret", **files}, ("token", "more"))
    marked = withheld.marked(value)
    assert "s3cret" not in msgspec.json.encode(marked).decode()
    assert withheld.filled(marked) == value
    if secret == "s3cret":  # a secret that has changed since
        filled = Withheld({"token": other, "more": other, **files}, ("token", "more")).filled(marked)
        assert _text(filled) == _text(value).replace("s3cret", other)


@given(JSON)
def test_what_looks_like_a_mark_and_is_none_stays_what_it_is(value):
    withheld = Withheld({"letter": LETTER}, ())
    assert withheld.filled(msgspec.json.decode(msgspec.json.encode(withheld.marked(value)))) == value


def _text(value):
    return msgspec.json.encode(json_form(value)).decode()


def test_inputs_that_hold_a_secret_are_not_stored():
    schema = {"properties": {"nested": {"properties": {"password": {}}}}}
    inputs = {"key": "s3cret", "url": "https://x?k=s3cret", "nested": {"password": "other"}, "same": "other", "n": 1}
    kept, withheld = storable(inputs, frozenset({"key"}), schema)
    assert (kept, set(withheld)) == ({"n": 1}, {"key", "url", "nested", "same"})
