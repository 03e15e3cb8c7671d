"""Each test module of this folder names the tables of its cases in TABLES; a table is a YAML file in tests/cases/cli."""

from cli_case import read_table


def pytest_generate_tests(metafunc):
    if "case" in metafunc.fixturenames:
        metafunc.parametrize("case", [case for name in metafunc.module.TABLES for case in read_table(name)])
