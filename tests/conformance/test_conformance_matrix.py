"""The suite's own order: its format, its claims, and what each claim is proved by."""

import json

import jsonschema_rs
import pytest
from suite_under_test import CASES, CLAIMS, matrix, shrinking, suite

from conformance.reading import SuiteInvalid, read

FILES = sorted(suite.CASES.glob("*/*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_file_is_as_the_schema_says(path):
    schema = json.loads((suite.HERE / "case.schema.json").read_text("utf-8"))
    validator = jsonschema_rs.Draft202012Validator(schema)
    found = [
        f"{'/'.join(map(str, error.instance_path))}: {error.message}" for error in validator.iter_errors(read(path))
    ]
    assert not found, "\n".join(found)


def test_each_file_is_found():
    assert sorted(suite.CASES.rglob("*.y*ml")) == FILES, "cases are in conformance/cases/<section>/<topic>.yaml"


def test_cases_and_claims_fit():
    assert matrix.problems(CLAIMS, CASES) == []


def test_sections_of_cases_are_sections_of_claims():
    assert {case.section for case in CASES} <= {claim.section for claim in CLAIMS}


def test_what_is_uncovered_is_known_and_nothing_else_is():
    assert set(matrix.uncovered(CLAIMS, CASES)) == shrinking("uncovered.txt"), "uncovered.txt only shrinks: write cases"


def test_a_claim_without_a_case_is_found():
    claims = [matrix.Claim("a.b", "#a", "must", "It does.", ("positive", "negative"), None)]
    assert matrix.uncovered(claims, []) == ["a.b positive", "a.b negative"]


def test_a_claim_out_of_scope_needs_no_case():
    claims = [matrix.Claim("a.b", "#a", "must", "It does.", ("positive",), "no broker")]
    assert matrix.uncovered(claims, []) == []


def test_an_unknown_claim_is_found():
    case = next(case for case in CASES)
    assert matrix.problems([], [case]) != []


WRONG = {
    "no list": "id: a\n",
    "no id": "- {claims: [a.b], polarity: positive, expect: {result: succeeded}}\n",
    "unknown field": "- {id: a, claim: [a.b], claims: [a.b], polarity: positive, expect: {result: succeeded}}\n",
    "unknown polarity": "- {id: a, claims: [a.b], polarity: both, expect: {result: succeeded}}\n",
    "unknown result": "- {id: a, claims: [a.b], polarity: positive, expect: {result: fine}}\n",
    "no expectation": "- {id: a, claims: [a.b], polarity: positive}\n",
    "unknown answer": "- {id: a, claims: [a.b], polarity: positive, server: [{code: 200}], expect: {result: failed}}\n",
    "wrong server": "- {id: a, claims: [a.b], polarity: positive, server: 200, expect: {result: failed}}\n",
    "request without method": "- {id: a, claims: [a.b], polarity: positive, expect: {result: failed, requests: [{path: /}]}}\n",
    "too few gaps": "- {id: a, claims: [a.b], polarity: positive, expect: {result: failed, requests: [GET /a], gaps: [null]}}\n",
    "an id twice": 2 * "- {id: a, claims: [a.b], polarity: positive, expect: {result: succeeded}}\n",
    "a key twice": "- {id: a, id: b, claims: [a.b], polarity: positive, expect: {result: succeeded}}\n",
    "no YAML": "- {",
}


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG)
def test_a_wrong_file_of_cases_is_refused_by_name(text, tmp_path):
    path = tmp_path / "section" / "topic.yaml"
    path.parent.mkdir()
    path.write_text(text, "utf-8")
    with pytest.raises(SuiteInvalid, match=r"topic\.yaml"):
        suite.load(tmp_path)


def test_a_claim_twice_is_refused(tmp_path):
    path = tmp_path / "claims.yaml"
    path.write_text("a:\n" + 2 * "  - {id: b, anchor: '#a', says: it, needs: []}\n", "utf-8")
    with pytest.raises(SuiteInvalid, match="twice"):
        matrix.load_claims(path)


def test_files_of_the_suite_are_yaml_1_2(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("[no, on, 2026-01-01, 1_0, 0o10, 0x10, 012, 1e2, .5, null, ~, '1']", "utf-8")
    assert read(path) == ["no", "on", "2026-01-01", "1_0", 8, 16, 12, 100.0, 0.5, None, None, "1"]
