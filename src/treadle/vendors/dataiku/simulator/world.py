"""The state of a simulated DSS: fires, runs, and what becomes of them as time goes by.

Pure: the caller says what time it is, and the state is brought up to that moment when it is looked at. Inside, times are
epoch milliseconds. How a state looks in JSON is in `shapes`; routes and keys are in `app`.

    idle    --fire--> queued     --delay over--> running --run time over--> idle, the run has its outcome
    queued  --fire--> the older fire is cancelled, the delay starts anew
    queued  --abort-> the fire is cancelled
    running --fire--> the new fire is cancelled, at once or later, or waits for the end of the run (the busy policy)
    running --abort-> ABORTED after the abort lag, unless the run ends before that; a waiting fire is cancelled
    idle    --abort-> nothing
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from treadle.vendors.dataiku.simulator import settings
from treadle.vendors.dataiku.simulator.description import Busy, Scenario, Simulation
from treadle.vendors.dataiku.simulator.errors import UnknownError
from treadle.vendors.dataiku.simulator.histories import Outcome, PastRun, Trigger
from treadle.vendors.dataiku.simulator.identifiers import Identifiers
from treadle.vendors.dataiku.simulator.jobs import Jobs
from treadle.vendors.dataiku.simulator.plan import Plan, PlannedStep, milliseconds, plan


@dataclass(slots=True, eq=False)
class Fire:
    """A request for a run: it leads to a run, is cancelled, or is still waiting. `author` is the id of the key that asked."""

    id: str
    at: int
    trigger: Trigger
    params: Mapping[str, Any]
    author: str = ""
    # When a fire that found the scenario running will be cancelled.
    doomed_at: int | None = None
    cancelled_at: int | None = None
    run: Run | None = field(default=None, repr=False)

    @property
    def cancelled(self) -> bool:
        """Whether no run will come of it any more."""
        return self.cancelled_at is not None


@dataclass(frozen=True, slots=True)
class StepRun:
    """One step of a run, as far as it has come: `end` and `outcome` are None while it is on."""

    id: str
    planned: PlannedStep
    start: int
    end: int | None
    outcome: Outcome | None


@dataclass(slots=True, eq=False)
class Run:
    """A run; `end` and `outcome` are None while it is on."""

    id: str
    fire: Fire
    start: int
    plan: Plan
    step_ids: tuple[str, ...]
    abort_due: int | None = None
    end: int | None = None
    outcome: Outcome | None = None

    @property
    def due_end(self) -> int | None:
        """When this run will end as things stand."""
        ends = [end for end in (self._own_end, self.abort_due) if end is not None]
        return min(ends, default=None)

    @property
    def _own_end(self) -> int | None:
        return None if self.plan.duration is None else self.start + self.plan.duration

    def finish(self, end: int) -> None:
        """Give the run its outcome; an abort that came too late has no part in it."""
        self.end = end
        self.outcome = self.plan.outcome if end == self._own_end else "ABORTED"

    def steps(self, now: int) -> Iterator[StepRun]:
        """Give the steps begun by `now`, in order."""
        seen = now if self.end is None else self.end
        for step_id, planned in zip(self.step_ids, self.plan.steps, strict=True):
            start = self.start + planned.start
            if start > seen or (start == seen and self._cut_short):
                return
            end = None if planned.end is None else self.start + planned.end
            if end is not None and end <= seen:
                yield StepRun(step_id, planned, start, end, planned.outcome)
            elif self._cut_short:
                yield StepRun(step_id, planned, start, self.end, "ABORTED")
            else:
                yield StepRun(step_id, planned, start, None, None)
                return

    @property
    def _cut_short(self) -> bool:
        return self.end is not None and self.end != self._own_end


class LiveScenario:
    """One scenario with its fires and runs, as of `now`. At most one run is on, and at most one fire waits."""

    def __init__(self, description: Scenario, simulation: Simulation, identifiers: Identifiers, now: int) -> None:
        self.description = description
        self.saved = settings.Saved(description.script, description.last_modified_by, now)
        self.now = now
        # By id, oldest first.
        self.fires: dict[str, Fire] = {}
        self.runs: dict[str, Run] = {}
        self.current: Run | None = None
        self.pending: Fire | None = None
        self.timezone = simulation.timezone
        self.start_delay = _chosen(description.start_delay, simulation.start_delay)
        self._abort_lag = milliseconds(_chosen(description.abort_lag, simulation.abort_lag))
        self._busy: Busy = simulation.busy if description.busy is None else description.busy
        self._identifiers = identifiers
        self._started = 0
        for past in sorted(description.past_runs, key=lambda past: -past.ago):
            self._remember(past)

    @property
    def name(self) -> str:
        """The scenario in full, as messages call it."""
        return f"{self.description.project}.{self.description.id}"

    def advance(self, now: int) -> None:
        """Bring the state up to `now`."""
        self.now = now
        self._settle_current()
        self._settle_pending()
        # A run that has just come of the waiting fire may be over by now, too; there is no second waiting fire.
        self._settle_current()

    def fire(self, params: Mapping[str, Any], author: str = "") -> Fire:
        """Ask for a run. Whether the scenario is active does not matter: that governs its automatic triggers."""
        fire = Fire(self._identifiers.at(self.now), self.now, "manual", params, author)
        self.fires[fire.id] = fire
        self._cancel_pending()
        if self.current is not None and self._busy != "queue":
            fire.doomed_at = self.now + (0 if self._busy == "now" else milliseconds(self._busy))
        self.pending = fire
        self.advance(self.now)
        return fire

    def abort(self) -> None:
        """Stop what is on or waiting; nothing when the scenario is idle. A second abort does not come sooner or later."""
        self._cancel_pending()
        if self.current is not None and self.current.abort_due is None:
            self.current.abort_due = self.now + self._abort_lag
        self.advance(self.now)

    def save(self, sent: Mapping[str, Any], author: str) -> None:
        """Take over settings; a run that is on goes on as it began."""
        self.description = settings.changed(self.description, sent)
        self.saved.rest = settings.rest(sent)
        self._saved_by(author)

    def save_light(self, sent: Mapping[str, Any], author: str) -> None:
        """Take over what the light status may change."""
        taken = {name: value for name, value in sent.items() if name in settings.LIGHT_FIELDS}
        self.description = settings.changed(self.description, taken)
        self.saved.rest |= settings.rest(taken)
        self._saved_by(author)

    def save_script(self, script: str, author: str) -> None:
        """Take over a script. Nobody runs it."""
        self.saved.script = script
        self._saved_by(author)

    def _saved_by(self, author: str) -> None:
        self.saved.modified_by, self.saved.modified_at = author, self.now
        self.saved.version += 1

    def run(self, run_id: str) -> Run:
        """Find a run."""
        if run_id not in self.runs:
            raise UnknownError(f"Run {run_id} of scenario {self.description.id} does not exist")
        return self.runs[run_id]

    def find_fire(self, trigger: str, fire_id: str) -> Fire:
        """Find a fire of a trigger; the ids of triggers are the names of their kinds."""
        fire = self.fires.get(fire_id)
        if fire is None or fire.trigger != trigger:
            raise UnknownError(f"Run {fire_id} of trigger {trigger} of scenario {self.description.id} does not exist")
        return fire

    def newest_runs(self, *, only_finished: bool = False) -> Iterator[Run]:
        """Give the runs, newest first."""
        for run in reversed(self.runs.values()):
            if run.end is not None or not only_finished:
                yield run

    def _settle_current(self) -> None:
        run = self.current
        if run is None or run.due_end is None or run.due_end > self.now:
            return
        run.finish(run.due_end)
        self.current = None

    def _settle_pending(self) -> None:
        fire = self.pending
        if fire is None:
            return
        if fire.doomed_at is not None:
            if fire.doomed_at <= self.now:
                fire.cancelled_at = fire.doomed_at
                self.pending = None
            return
        if self.current is not None or not self.description.starts:
            return
        last = next(self.newest_runs(), None)
        free_from = 0 if last is None or last.end is None else last.end
        due = max(fire.at + milliseconds(self.start_delay), free_from)
        if due <= self.now:
            self.pending = None
            self._start(fire, due)

    def _start(self, fire: Fire, at: int) -> None:
        outcomes = self.description.outcomes
        wanted = outcomes[self._started % len(outcomes)] if outcomes else None
        self._started += 1
        self.current = self._create_run(fire, at, plan(self.description, wanted, finishes=self.description.finishes))

    def _create_run(self, fire: Fire, at: int, planned: Plan) -> Run:
        run_id = self._identifiers.at(at)
        step_ids = tuple(self._identifiers.at(at + step.start) for step in planned.steps)
        run = Run(run_id, fire, at, planned, step_ids)
        fire.run = run
        self.runs[run_id] = run
        return run

    def _cancel_pending(self) -> None:
        if self.pending is not None:
            self.pending.cancelled_at = self.now
            self.pending = None

    def _remember(self, past: PastRun) -> None:
        """Add a run that had ended before this simulator began."""
        at = self.now - milliseconds(past.ago)
        fired_at = at - milliseconds(self.start_delay)
        fire = Fire(self._identifiers.at(fired_at), fired_at, past.trigger, {})
        self.fires[fire.id] = fire
        planned = plan(self.description, past.outcome, finishes=True)
        run = self._create_run(fire, at, planned)
        run.finish(at + (planned.duration or 0))


class World:
    """All scenarios and jobs under one clock. `now` is epoch seconds; an earlier `now` than the last one counts as the last one."""

    def __init__(self, simulation: Simulation, now: float) -> None:
        self.simulation = simulation
        self._now = milliseconds(now)
        self._identifiers = Identifiers(simulation.timezone)
        # A project stays when its last scenario is deleted.
        self._projects: dict[str, dict[str, LiveScenario]] = {build.project: {} for build in simulation.builds}
        for description in simulation.scenarios:
            self._projects.setdefault(description.project, {})
        for description in simulation.scenarios:
            self._add(description)
        self._jobs = {project: Jobs(project, simulation) for project in self._projects}

    def projects(self) -> list[str]:
        """Give the keys of the projects."""
        return list(self._projects)

    def scenarios(self, project: str, now: float) -> list[LiveScenario]:
        """Give the scenarios of a project, in the order of their descriptions, as of `now`."""
        scenarios = list(self._project(project, now).values())
        for scenario in scenarios:
            scenario.advance(self._now)
        return scenarios

    def scenario(self, project: str, scenario_id: str, now: float) -> LiveScenario:
        """Give one scenario as of `now`; what is done to it happens at that moment."""
        scenario = self._project(project, now).get(scenario_id)
        if scenario is None:
            raise UnknownError(f"Scenario {project}.{scenario_id} does not exist")
        scenario.advance(self._now)
        return scenario

    def create(self, project: str, sent: Mapping[str, Any], author: str, now: float) -> LiveScenario:
        """Make a new scenario of the settings that were sent."""
        scenario = self._add(settings.created(project, sent, self._project(project, now), author))
        scenario.saved.rest = settings.rest(sent)
        return scenario

    def delete(self, project: str, scenario_id: str, now: float) -> None:
        """Forget a scenario and its runs, also one that is on."""
        self.scenario(project, scenario_id, now)
        del self._projects[project][scenario_id]

    def jobs(self, project: str, now: float) -> Jobs:
        """Give the jobs of a project as of `now`."""
        self._project(project, now)
        self._jobs[project].now = self._now
        return self._jobs[project]

    def _project(self, project: str, now: float) -> dict[str, LiveScenario]:
        self._now = max(self._now, milliseconds(now))
        if project not in self._projects:
            raise UnknownError(f"Project {project} does not exist")
        return self._projects[project]

    def _add(self, description: Scenario) -> LiveScenario:
        live = LiveScenario(description, self.simulation, self._identifiers, self._now)
        self._projects[description.project][description.id] = live
        return live


def _chosen(own: float | None, general: float) -> float:
    return general if own is None else own
