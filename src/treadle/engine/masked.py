"""Records as they are kept and shown: without secrets.

What a run is resumed from (`Delivered`, `Resolved`, the snapshot of a `Checkpoint`, cookies) stays as it is: nobody is
shown those, and a journal seals them.
"""

from collections.abc import Callable
from typing import Any

from msgspec import structs

from treadle.engine import journal
from treadle.engine.journal import Criterion, Failure, Record
from treadle.engine.secrets import Secrets


def masked(record: Record, secrets: Secrets) -> Record:
    """Give a record with every secret in it masked; the record itself where there is none."""
    mask = _MASKS[type(record)]  # what is not there is what nobody thought of
    return record if mask is None else mask(record, secrets)


def _step_began(record: journal.StepBegan, secrets: Secrets) -> Record:
    url = record.url and secrets.text(record.url)
    return record if url == record.url else structs.replace(record, url=url)


def _step_ended(record: journal.StepEnded, secrets: Secrets) -> Record:
    url = record.url and secrets.text(record.url)
    criteria = _criteria(record.criteria, secrets)
    outputs = _outputs(record.outputs, secrets)
    error = _failure(record.error, secrets)
    if url == record.url and criteria is record.criteria and outputs is record.outputs and error is record.error:
        return record  # nearly always
    return structs.replace(record, url=url, criteria=criteria, outputs=outputs, error=error)


def _run_ended(record: journal.RunEnded, secrets: Secrets) -> Record:
    outputs, error = _outputs(record.outputs, secrets), _failure(record.error, secrets)
    if outputs is record.outputs and error is record.error:
        return record
    return structs.replace(record, outputs=outputs, error=error)


def _looked(record: journal.Looked, secrets: Secrets) -> Record:
    criteria = _criteria(record.criteria, secrets)
    return record if criteria is record.criteria else structs.replace(record, criteria=criteria)


def _stopped(record: journal.Stopped, secrets: Secrets) -> Record:
    error = _failure(record.error, secrets)
    return record if error is record.error else structs.replace(record, error=error)


def _warned(record: journal.Warned, secrets: Secrets) -> Record:
    message = secrets.text(record.message)
    return record if message == record.message else structs.replace(record, message=message)


def _repeated(record: journal.Repeated, secrets: Secrets) -> Record:
    why = secrets.text(record.why)
    return record if why == record.why else structs.replace(record, why=why)


def _criteria(found: tuple[Criterion, ...], secrets: Secrets) -> tuple[Criterion, ...]:
    for one in found:  # most have nothing to say
        if one.why and secrets.text(one.why) != one.why:
            return tuple([structs.replace(each, why=secrets.text(each.why)) for each in found])
    return found


def _outputs(outputs: dict[str, Any], secrets: Secrets) -> dict[str, Any]:
    """Give outputs with every secret masked; one search in all of them costs less than one for each text."""
    if not outputs or secrets.absent_from(journal.write_value(outputs).decode()):
        return outputs
    masked: dict[str, Any] = secrets.value(outputs)
    return masked


def _failure(error: Failure | None, secrets: Secrets) -> Failure | None:
    if error is None:
        return None
    message = secrets.text(error.message)
    hint = None if error.hint is None else secrets.text(error.hint)
    if message == error.message and hint == error.hint:
        return error
    return structs.replace(error, message=message, hint=hint)


_MASKS: dict[type[Record], Callable[[Any, Secrets], Record] | None] = {
    journal.StepBegan: _step_began,
    journal.StepEnded: _step_ended,
    journal.RunEnded: _run_ended,
    journal.Looked: _looked,
    journal.Stopped: _stopped,
    journal.Warned: _warned,
    journal.Repeated: _repeated,
    # What is sealed, and what holds nothing that a secret could be in.
    journal.Delivered: None,
    journal.Resolved: None,
    journal.Checkpoint: None,
    journal.CookiesKept: None,
    journal.RunBegan: None,
    journal.Transferred: None,
    journal.Waiting: None,
    journal.Learnt: None,
    journal.Withdrawn: None,
    journal.Queued: None,
}
