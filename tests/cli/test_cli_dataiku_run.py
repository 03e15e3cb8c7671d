"""`treadle dataiku run` and its siblings against the simulated DSS: each outcome, each fault, each refusal."""

from cli_case import run_case

TABLES = (
    "dataiku_run",
    "dataiku_faults",
    "dataiku_refused",
    "dataiku_commands",
    "dataiku_connection",
    "dataiku_pipelines",
)


def test_case(case, tmp_path):
    run_case(case, tmp_path)
