"""Run(program, inputs, journal=()): a run of a program as a pure state machine.

`pending()` says what is to be done, `deliver()` takes what came of it and gives the records of what followed, and
`outcome` is there when nothing is pending any more. Time enters only with a result. The same inputs and the same
results give the same run, which is how a journal resumes one. What follows what is in `course`.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from treadle.engine import doubt
from treadle.engine import journal as records
from treadle.engine.checkpoints import put_back, taken
from treadle.engine.course import Course, Doubt, Outcome
from treadle.engine.effects import Effect, HttpFailed, HttpResponse, Result, SendHttp, Sleep, Slept
from treadle.engine.frame import Ends
from treadle.engine.journal import Failure, Record
from treadle.engine.program import Program, Step
from treadle.engine.secret_inputs import secret_values
from treadle.engine.secrets import Secrets
from treadle.engine.state import Limits, State
from treadle.engine.withheld import Withheld, storable

__all__ = ["NotPending", "Outcome", "Run"]


class NotPending(ValueError):
    """A result was delivered for an effect that is not pending."""


class Run:
    """One run of a program.

    Args:
        program: the compiled workflow.
        inputs: the inputs, validated and with defaults.
        limits: what bounds it.
        journal: the records of the run so far; with it the run continues where they end.
        secrets: the values that no message may show; without it, those of the inputs that are secret.
        secret_names: inputs that are secret besides those that the program calls so.
        run_id: the id of the run, unique wherever its requests may go; a journal brings its own.

    Attributes:
        since: when what is pending was asked for (seconds since the epoch).
        withdrawn: the announcement of the request that is pending was taken back; `announce` it before it is sent.
        unwritten: records that follow from the journal and are not in it, because it ends in the middle of a turn; they
            are written before anything is done.

    Raises:
        NotPending: the journal does not fit the program.
    """

    __slots__ = (
        "_announced", "_course", "_inputs", "_secret", "limits", "program", "since", "unwritten", "withdrawn",
    )  # fmt: skip

    def __init__(
        self,
        program: Program,
        inputs: dict[str, Any],
        limits: Limits | None = None,
        journal: Iterable[Record] = (),
        *,
        secrets: Secrets | None = None,
        secret_names: frozenset[str] = frozenset(),
        run_id: str = "",
    ) -> None:
        self.program = program
        self.limits = limits or Limits()
        self.since = 0.0
        self.withdrawn = False
        self.unwritten: Sequence[Record] = ()
        self._inputs = inputs
        declared = program.entry.secrets
        self._secret = secret_names if secret_names.issuperset(declared) else secret_names.union(declared)
        secrets = secrets or Secrets(secret_values(inputs, self._secret, program.entry.inputs))
        self._course = Course(program, self.limits, State(program, self.limits, secrets))
        self._course.state.run_id = run_id
        self._announced: str | None = None
        self._replay(journal)

    @property
    def run_id(self) -> str:
        """The id of the run."""
        return self._course.state.run_id

    @property
    def secrets(self) -> Secrets:
        """The values that no message may show."""
        return self._course.state.secrets

    @property
    def outcome(self) -> Outcome | None:
        """How the run ended, or None while something is pending."""
        return self._course.outcome

    def begin(self, now: float) -> list[Record]:
        """Start a new run; `now` in seconds since the epoch. Gives the first records."""
        state = self._course.state
        secrets = state.secrets
        seen = {n: value for n, value in self._inputs.items() if n not in self._secret and not secrets.has(value)}
        shown = {n: secrets.value(v) if isinstance(v, dict | list) else v for n, v in seen.items()}
        state.records = [records.RunBegan(now, self.program.workflow_id, shown, run_id=self.run_id)]
        state.frames = [state.new_frame(0, self._inputs, Ends.THE_RUN)]
        self._course.begin_workflow(now)
        return self._moved(now)

    def pending(self) -> tuple[Effect, ...]:
        """Give the effects that are to be performed; none means that there is an outcome."""
        effect = self._course.effect
        return (effect,) if effect is not None else ()

    def deliver(self, effect_id: str, result: Result, now: float) -> list[Record]:
        """Take the result of an effect; give the records of what followed, to be written before the next effect.

        Raises:
            NotPending: no such effect is pending, or the result is not one of its kind.
        """
        course = self._course
        effect = course.effect
        # By its very type: isinstance is slow wherever it says no of a Struct, and this is asked for each effect.
        fits = (type(effect) is Sleep) is (type(result) is Slept)
        if effect is None or effect.id != effect_id or not fits:
            raise NotPending(f"no effect {effect_id!r} is pending that {type(result).__name__} would answer")
        course.state.records = [records.Delivered(now, effect_id, result)]
        course.effect = None
        self._announced = None
        if course.doubt is not None:
            doubt.looked(course, course.doubt, result, now)
        elif isinstance(effect, SendHttp) and isinstance(result, HttpResponse):
            open_because = course.answered(effect, result, now)
            if open_because is not None:
                doubt.begin(course, effect, open_because, now)
        elif isinstance(effect, Sleep):
            course.state.frame.pace.slept()
            course.due = True
        elif isinstance(result, HttpFailed) and result.sent and not effect.idempotent:
            doubt.begin(course, effect, result.message, now)
        elif isinstance(result, HttpFailed):
            course.unanswered(effect, result, now)
        return self._moved(now)

    @property
    def in_doubt(self) -> Doubt | None:
        """What the run is in doubt of: a request that may have been sent, whose answer is not there and will not come."""
        course, effect = self._course, self._course.effect
        if course.outcome is not None and course.outcome.status != "in-doubt":
            return None
        if course.doubt is not None or not isinstance(effect, SendHttp) or effect.idempotent:
            return course.doubt
        return Doubt(effect, course.state.frame.began) if effect.id == self._announced else None

    @property
    def step(self) -> Step:
        """The step where the run stands."""
        return self._course.state.step

    def resolve(self, how: str, now: float, outputs: dict[str, Any] | None = None) -> list[Record]:
        """Go on with what the run is in doubt of.

        Args:
            how: `reconcile` by the step's rule; `retry`, which asks that rule first; `skip`, as if the step had succeeded;
                `fail`, as if it had failed, but without retries.
            now: in seconds since the epoch.
            outputs: what the step gives where it is skipped.

        Raises:
            NotPending: it is in doubt of nothing.
        """
        found = self.in_doubt
        if found is None or how not in doubt.WAYS:
            raise NotPending(f"there is no doubt to resolve, or no way {how!r} to do it")
        course = self._course
        course.state.records = [records.Resolved(now, found.effect.id, how, outputs or {})]
        course.effect = self._announced = None
        doubt.resolve(course, found, how, outputs or {}, now)
        return self._moved(now)

    def withdraw(self, now: float) -> list[Record]:
        """Take back the announcement of what is pending, which was not sent and will not be here: it is in no doubt."""
        effect = self._course.effect
        if not isinstance(effect, SendHttp) or effect.idempotent or self._course.doubt is not None or self.withdrawn:
            return []
        self._announced, self.withdrawn = None, True
        return [records.Withdrawn(now, effect.id)]

    def announce(self, now: float) -> list[Record]:
        """Announce anew what was withdrawn; give the records, to be written before it is sent.

        Raises:
            NotPending: nothing was withdrawn.
        """
        if not self.withdrawn:
            raise NotPending("nothing was withdrawn")
        self.withdrawn = False
        doubt.send_again(self._course)
        return self._moved(now)

    def stop(self, status: str, error: Failure, now: float) -> list[Record]:
        """End the run from outside: a limit of the driver was reached (`limited`), or somebody asked (`cancelled`)."""
        if self.outcome is not None:
            return []
        self.withdrawn = False
        if status == "limited" and self._course.doubt is not None:
            status = "in-doubt"  # that the time is over answers no question
        self._course.state.records = [records.Stopped(now, status, error)]
        effect = self._course.effect
        if status == "in-doubt" and isinstance(effect, SendHttp) and self._course.doubt is None:
            self._course.doubt = Doubt(effect, self._course.state.frame.began)
        self._course.end_run(status, now, error)
        return self._taken()

    def checkpoint(self, now: float, folded: records.Folded | None = None) -> records.Checkpoint | None:
        """Give a record that takes the place of all before it, or None where nothing is pending, or a doubt is.

        It is written after the records of the turn, before the effect that is pending starts. Secret inputs are not in
        it. `folded` is what happened so far, for reports.
        """
        effect = self._course.effect
        if effect is None or self._course.doubt is not None or self.withdrawn:
            return None
        sleep = effect if isinstance(effect, Sleep) else None
        snapshot = taken(self._course.state, sleep, self.since, self._withheld())
        folded = folded or records.Folded(now)
        return records.Checkpoint(now, self.program.workflow_id, snapshot, folded, run_id=self.run_id)

    def take_unwritten(self) -> list[Record]:
        """Give the records that are to be written first, once."""
        taken, self.unwritten = list(self.unwritten), ()
        return taken

    def _moved(self, now: float) -> list[Record]:
        self._course.send_what_is_due(now)
        self.since = now
        return self._taken()

    def _taken(self) -> list[Record]:
        state = self._course.state
        taken, state.records = state.records, []
        return taken

    def _withheld(self) -> Withheld:
        return Withheld(self._inputs, storable(self._inputs, self._secret, self.program.entry.inputs)[1])

    def _put_back(self, checkpoint: records.Checkpoint) -> list[Record]:
        if checkpoint.workflow_id != self.program.workflow_id:
            raise NotPending(f"the journal is one of workflow {checkpoint.workflow_id!r}")
        snapshot, course = checkpoint.snapshot, self._course
        put_back(course.state, snapshot, self._withheld())
        self._course.state.run_id = checkpoint.run_id or self.run_id
        course.effect = snapshot.sleep
        if snapshot.sleep is None:
            course.send_again(snapshot.frames[-1].began)
        self.since = snapshot.since
        # Checkpoints are written when what is pending has been announced.
        self._announced = None if course.effect is None else course.effect.id
        again = self._taken()
        # Its records were written, unless another secret makes a request that cannot be sent.
        return [] if course.effect is not None else again

    def _replay(self, journal: Iterable[Record]) -> None:
        """Take what came from outside once more. All else follows from it, and is compared by its number only."""
        follow: list[Record] = []
        written = 0
        for record in _from_the_last_checkpoint(journal):
            match record:
                case records.Checkpoint():
                    follow, written = self._put_back(record), -1
                case records.RunBegan(at):
                    self._course.state.run_id = record.run_id or self.run_id
                    follow, written = self.begin(at), 0
                case records.Delivered(at, effect_id, result):
                    follow, written = self.deliver(effect_id, result, at), 0
                case records.Resolved(at, _, how, outputs):
                    follow, written = self.resolve(how, at, outputs), 0
                case records.Learnt(_, texts):
                    self.secrets.learn(texts)
                case records.Withdrawn() | records.StepBegan():
                    follow, written = self._announcement(record, follow, written)
                case records.Stopped(at, status, error):
                    follow, written = self.stop(status, error, at), 0
            written += not isinstance(record, records.Repeated | records.CookiesKept | records.Learnt)
        self.unwritten = follow[written:]

    def _announcement(
        self, record: records.Withdrawn | records.StepBegan, follow: list[Record], written: int
    ) -> tuple[list[Record], int]:
        """Take that a request was announced, for the first time or anew, or that this was taken back."""
        if isinstance(record, records.Withdrawn):
            self.withdraw(record.at)
            return [], -1
        if self.withdrawn:
            follow, written = self.announce(record.at), 0
        self._announced = record.effect_id
        return follow, written


def _from_the_last_checkpoint(journal: Iterable[Record]) -> list[Record]:
    found = list(journal)
    for at in range(len(found) - 1, 0, -1):
        if isinstance(found[at], records.Checkpoint):
            return found[at:]
    return found
