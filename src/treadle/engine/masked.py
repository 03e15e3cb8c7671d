"""Records as they are kept and shown: without secrets.

What a run is resumed from (`Delivered`, `Resolved`, the snapshot of a `Checkpoint`, cookies) stays as it is: nobody is
shown those, and a journal seals them.
"""

from msgspec import structs

from treadle.engine import journal
from treadle.engine.journal import Criterion, Failure, Record
from treadle.engine.secrets import Secrets

_AS_IT_IS = (
    journal.Delivered, journal.Resolved, journal.Checkpoint, journal.CookiesKept, journal.RunBegan, journal.Transferred,
    journal.Waiting, journal.Learnt,
)  # fmt: skip
"""What is sealed, and what holds nothing that a secret could be in."""


def masked(record: Record, secrets: Secrets) -> Record:
    """Give a record with every secret in it masked."""
    if isinstance(record, _AS_IT_IS):
        return record
    if isinstance(record, journal.StepBegan):
        url = record.url and secrets.text(record.url)
        return record if url == record.url else structs.replace(record, url=url)
    if secrets.absent_from(journal.write(record).decode()):
        return record  # nearly always, and one search costs less than one for each text
    match record:
        case journal.StepEnded():
            return structs.replace(
                record,
                url=None if record.url is None else secrets.text(record.url),
                criteria=_criteria(record.criteria, secrets),
                outputs=secrets.value(record.outputs),
                error=_failure(record.error, secrets),
            )
        case journal.RunEnded():
            error = _failure(record.error, secrets)
            return structs.replace(record, outputs=secrets.value(record.outputs), error=error)
        case journal.Looked():
            return structs.replace(record, criteria=_criteria(record.criteria, secrets))
        case journal.Stopped():
            return structs.replace(record, error=_failure(record.error, secrets))
        case journal.Warned():
            return structs.replace(record, message=secrets.text(record.message))
        case journal.Repeated():
            return structs.replace(record, why=secrets.text(record.why))


def _criteria(found: tuple[Criterion, ...], secrets: Secrets) -> tuple[Criterion, ...]:
    return tuple(structs.replace(one, why=secrets.text(one.why)) if one.why else one for one in found)


def _failure(error: Failure | None, secrets: Secrets) -> Failure | None:
    if error is None:
        return None
    hint = None if error.hint is None else secrets.text(error.hint)
    return structs.replace(error, message=secrets.text(error.message), hint=hint)
