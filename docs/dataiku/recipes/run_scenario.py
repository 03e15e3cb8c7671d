"""Run a scenario from Python: `python run_scenario.py SALES NIGHTLY`."""

import os
import sys

import treadle


def main(project: str, scenario: str) -> int:
    """Run it, wait until it is over, and say how it ended; gives the exit code."""
    outcome = treadle.run(
        "dataiku",
        "run-scenario-and-poll",
        {"apiKey": os.environ["DKU_API_KEY"], "projectKey": project, "scenarioId": scenario},
        server=os.environ["DKU_DSS_URL"].rstrip("/") + "/public/api",
        timeout=3600,
        # When the process is killed: treadle runs resume --state runs.sqlite -i apiKey=env:DKU_API_KEY
        journal="runs.sqlite",
    )
    print(outcome.status, outcome.outputs["outcome"], outcome.outputs["runId"])
    if outcome.status == "succeeded":  # SUCCESS or WARNING
        return 0
    print(outcome.error.message, outcome.error.hint or "", file=sys.stderr)
    # With 3 and 4, do not run it again before you have looked.
    return {"limited": 3, "in-doubt": 4}.get(outcome.status, 1)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
