"""Runs against a server that answers from a script, and what becomes of them."""

from cli_case import run_case

TABLES = ("answers", "limits", "plan", "policy", "streams", "files")


def test_case(case, tmp_path):
    run_case(case, tmp_path)
