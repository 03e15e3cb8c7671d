"""Descriptions wherever and however they stand."""

from cli_case import run_case

TABLES = ("sources",)


def test_case(case, tmp_path):
    run_case(case, tmp_path)
