"""Dataiku DSS: the bundled workflows, the description of the scenario endpoints, and the simulator."""

from pathlib import Path

from treadle.vendors.bundle import Argument, Bundle, Column, Command

_HERE = Path(__file__).parent
_PROJECT = Argument("PROJECT", "projectKey")
_SCENARIO = Argument("SCENARIO", "scenarioId")
_RUN_COLUMNS = (
    Column("run", "/runId"),
    Column("outcome", "/result/outcome"),
    Column("started", "/start", "time"),
    Column("ended", "/end", "time"),
    Column("trigger", "/trigger/trigger/type"),
)

DATAIKU = Bundle(
    name="dataiku",
    document=_HERE / "workflows" / "scenarios.arazzo.yaml",
    description=_HERE / "openapi" / "scenarios.yaml",
    workflow="run-scenario-and-poll",
    commands=(
        Command(
            name="list",
            workflow="list-scenarios",
            help="List the scenarios of a project.",
            example="DEMO",
            arguments=(_PROJECT,),
            shows="/scenarios",
            columns=(
                Column("scenario", "/id"),
                Column("name", "/name"),
                Column("type", "/type"),
                Column("active", "/active", "flag"),
                Column("running", "/running", "flag"),
            ),
        ),
        Command(
            name="projects",
            workflow="list-projects",
            help="List the projects that the API key opens.",
            example="",
            arguments=(),
            shows="/projects",
            columns=(Column("project", "/projectKey"), Column("name", "/name")),
        ),
        Command(
            name="status",
            workflow="scenario-status",
            help="Say whether a scenario is running, and how its last run ended.",
            example="DEMO NIGHTLY",
            arguments=(_PROJECT, _SCENARIO),
            shows="",
            columns=(
                Column("scenario", "/status/id"),
                Column("active", "/status/active", "flag"),
                Column("running", "/status/running", "flag"),
                Column("next run", "/status/nextRun", "time"),
                Column("last run", "/lastRuns/0/runId"),
                Column("outcome", "/lastRuns/0/result/outcome"),
            ),
        ),
        Command(
            name="last-runs",
            workflow="last-runs",
            help="List the last runs of a scenario, newest first.",
            example="DEMO NIGHTLY --limit 3",
            arguments=(_PROJECT, _SCENARIO, Argument("--limit", "limit", "How many, at most.", number=True)),
            shows="/runs",
            columns=_RUN_COLUMNS,
        ),
        Command(
            name="abort",
            workflow="abort-scenario",
            help="Abort the current run of a scenario, if there is one; it ends some time later.",
            example="DEMO ENDLESS",
            arguments=(_PROJECT, _SCENARIO),
            shows="",
            columns=(Column("was running", "/wasRunning", "flag"),),
        ),
        Command(
            name="log",
            workflow="scenario-log",
            help="Show the log of a run (DSS 13.3 and later).",
            example="DEMO NIGHTLY 2016-04-15-14-57-39-101",
            arguments=(_PROJECT, _SCENARIO, Argument("RUN_ID", "runId")),
            shows="/log",
        ),
    ),
)
