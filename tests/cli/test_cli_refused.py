"""What is refused before anything is sent: exit code 2."""

import os

import pytest
from cli_case import Case, Expect, run_case

TABLES = ("documents", "inputs", "options")


def test_case(case, tmp_path):
    run_case(case, tmp_path)


BYTES = os.fsdecode(b"hunter2222\xff")
"""What is in a variable that holds no UTF-8."""


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["byBearer", "--credential", "token=env:KEY"], "the credential for 'token', from --credential (env:KEY),"),
        (["byBearer", "--credential", f"token={BYTES}"], "the credential for 'token', from --credential,"),
        (["itself", "-i", "mine=env:KEY"], "input 'mine': the environment variable KEY"),
        (["itself", "-i", f"mine={BYTES}"], "-i number 1"),
    ],
)
def test_bytes_that_are_no_text(args, said, tmp_path):
    expected = Expect(
        exit=2, requests=[], stderr_has=[f"treadle: {said} has bytes that are no UTF-8 text\n  hint: give "]
    )
    whole = ["run", "vault.yaml", *args, "--server", "{server}"]
    use = ["vault.yaml", "vault.openapi.yaml"]
    run_case(Case("bytes", whole, expected, use=use, env={"KEY": BYTES}, server={}, hidden=["hunter2222"]), tmp_path)
