"""The bundled workflow and the founding document against the simulator; secrets; check."""

from cli_case import run_case

TABLES = ("founding", "dataiku", "secrets", "check")


def test_case(case, tmp_path):
    run_case(case, tmp_path)
