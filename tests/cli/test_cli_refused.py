"""What is refused before anything is sent: exit code 2."""

from cli_case import run_case

TABLES = ("documents", "inputs", "options")


def test_case(case, tmp_path):
    run_case(case, tmp_path)
