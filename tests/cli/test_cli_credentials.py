"""Credentials on the command line, in the environment, in profiles; tokens; what Redocly's users write."""

from cli_case import run_case

TABLES = ("credentials", "digest", "profiles", "redocly", "tokens")


def test_case(case, tmp_path):
    run_case(case, tmp_path)
