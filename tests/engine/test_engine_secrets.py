"""No secret is shown, however it is encoded."""

from __future__ import annotations

import base64
import html
import json
from typing import get_args
from urllib.parse import quote, quote_plus

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scripted import play, program

from loader import cases
from treadle.engine.interpreter import Run
from treadle.engine.journal import (
    Criterion,
    Failure,
    Looked,
    Record,
    Repeated,
    RunEnded,
    StepBegan,
    StepEnded,
    Stopped,
    Warned,
    write,
)
from treadle.engine.masked import masked
from treadle.engine.secrets import MASK, SHORTEST, Secrets
from treadle.sources.operation import Operation, ParameterSpec
from treadle.sources.request import Argument, build_request, encode_body

SECRET = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="*"), min_size=SHORTEST)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SHORT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5)


@pytest.mark.parametrize("case", cases("engine/secrets.yaml"))
def test_what_is_shown(case):
    secrets = Secrets(case["secrets"])
    assert (secrets.text(case["text"]) if "text" in case else secrets.value(case["value"])) == case["shown"]


def _sent(location, value, **spec):
    operation = Operation("api", "GET", "/x/{p}" if location == "path" else "/x", "https://api.test")
    spec = ParameterSpec("p", location, **spec)
    return build_request(operation, "https://api.test", [Argument(spec, value)], None).url


@given(SECRET)
@example("%2F/ +&")
@example('a"\\b')
@example("000\\")
def test_a_secret_is_found_in_every_encoding(secret):
    hide = Secrets([secret]).text
    escaped = json.dumps(secret)[1:-1]
    written = [
        secret,
        quote(secret),
        quote(secret, safe=""),
        quote(secret, safe="").lower() if secret.islower() else secret,
        quote_plus(secret),
        escaped,
        json.dumps(secret, ensure_ascii=False)[1:-1],
        json.dumps(escaped)[1:-1],
        repr(secret)[1:-1],
        html.escape(secret),
        encode_body({"a": secret}, "application/x-www-form-urlencoded").decode().removeprefix("a="),
        _sent("query", secret, allow_reserved=True).partition("=")[2],
        _sent("query", secret).partition("=")[2],
        _sent("path", f"x{secret}").partition("/x/x")[2],
    ]
    for text in written:
        assert text not in hide(f"before {text} after")
        assert hide(f"<{text}>") == f"<{MASK}>"


@given(SECRET, st.binary(max_size=4), st.binary(max_size=4))
def test_a_secret_is_found_in_base64_at_every_offset(secret, before, after):
    hide = Secrets([secret]).text
    for code in (base64.b64encode, base64.urlsafe_b64encode):
        text = code(before + secret.encode() + after).decode()
        shown = hide(text)
        assert MASK in shown
        # What is left belongs to the neighbours, and to at most two characters that the secret shares with them.
        assert len(shown.replace(MASK, "").rstrip("=")) <= len(base64.b64encode(before + after)) + 4


@given(st.text(), SECRET)
def test_no_text_shows_a_secret(text, secret):
    assert secret not in Secrets([secret]).text(text + secret + text)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
)


@given(st.lists(SECRET | st.integers(0, 2**63) | SHORT, max_size=3), JSON, st.data())
def test_what_a_quick_look_takes_for_clean_is_clean(secrets, value, data):
    planted = data.draw(st.sampled_from([*secrets, "nothing"]))
    ways = [planted, str(planted), json.dumps(str(planted)), quote(str(planted)), {str(planted): value}, f"<{planted}>"]
    for whole in (value, [data.draw(st.sampled_from(ways)), value]):
        known = Secrets(secrets)
        written = msgspec.json.encode({"outputs": whole}).decode()
        assert not known.absent_from(written) or known.value(whole) == whole


FAILED = Failure("status", "no sesame here", "one", "not sesame")


SHOWN = [
    StepBegan(0.0, "e", "one", 1, 1, "GET", "https://api.test/?key=sesame", idempotent=True),
    StepEnded(0.0, 0.0, "one", 1, 1, "failed", "GET", "https://api.test/sesame", error=FAILED),
    StepEnded(0.0, 0.0, "one", 1, 1, "failed", criteria=(Criterion("c", passed=False, why="sesame"),)),
    StepEnded(0.0, 0.0, "one", 1, 1, "succeeded", outputs={"sesame": ["sesame"]}),
    Looked(0.0, "e", "one", 200, (Criterion("c", passed=False, why="sesame"),), took_effect=False),
    Stopped(0.0, "limited", FAILED),
    Warned(0.0, "rule", "sesame"),
    Repeated(0.0, "one", 1, 0.5, "sesame"),
    RunEnded(0.0, "failed", {"a": "sesame"}, FAILED),
]


@pytest.mark.parametrize("record", SHOWN, ids=lambda record: type(record).__name__)
def test_no_record_that_is_shown_has_a_secret(record):
    shown = masked(record, Secrets(["sesame"]))
    assert "sesame" not in write(shown).decode()
    assert write(record).decode().replace("sesame", MASK) == write(shown).decode()
    assert masked(record, Secrets(["another"])) is record


def test_of_every_other_kind_of_record_it_is_known_that_nothing_is_masked():
    for kind in set(get_args(Record)) - {type(record) for record in SHOWN}:
        required = len(kind.__struct_fields__) - len(kind.__struct_defaults__)
        record = kind(*[()] * required)
        assert masked(record, Secrets(["sesame"])) is record


# A message that is cut must not show the part of a secret that the cut leaves: nobody would find that part again.
CUT = {
    "stepId": "one",
    "operationId": "a",
    "successCriteria": [
        {"condition": "$statusCode == 200"},
        {"condition": "$response.body#/message == 'x'"},
        {"condition": "never", "context": "$response.body#/message", "type": "regex"},
        {"condition": "never", "context": "$response.body", "type": "regex"},
        {"condition": "$.{$response.body#/message}", "context": "$response.body", "type": "jsonpath"},
    ],
}
DECLARED = {"type": "object", "properties": {"apiKey": {}, "plain": {}}}
LOUD = st.text('ABCDEFGHKLMNQRWXYZ0123456789/"\\%&+ ', min_size=5, max_size=60).filter(lambda text: len(set(text)) > 3)


def test_no_record_holds_an_input_that_somebody_calls_secret():
    compiled = program({"steps": [{"stepId": "one", "operationId": "a"}], "workflow": {"inputs": DECLARED}})
    run = Run(
        compiled, {"apiKey": "by-its-name", "plain": "by-its-value", "more": 1}, secrets=Secrets(["by-its-value"])
    )
    (began, *_) = run.begin(0.0)
    assert began.inputs == {"more": 1}


@given(LOUD, st.integers(0, 330), st.integers(0, 60), st.sampled_from(["apiKey", "plain"]))
@example("K3Y-OF-ABCDEFGHIJKLMNOPQRSTUVWXYZ", 290, 0, "apiKey")
@example("K3Y-OF-ABCDEFGHIJKLMNOPQRSTUVWXYZ", 110, 0, "plain")
def test_no_part_of_a_secret_is_left_by_a_cut(secret, before, after, name):
    compiled = program({"steps": [CUT], "workflow": {"inputs": DECLARED}})
    # A name that the program does not know for a secret is one where whoever runs it says so.
    run = Run(compiled, {name: secret}, secrets=None if name == "apiKey" else Secrets([secret]))
    said = "_" * before + secret + "_" * after
    (*_, ended) = (
        record
        for record in play(run, [{"status": 400, "json": {"message": said}}]).records
        if isinstance(record, StepEnded)
    )
    texts = Secrets([secret]).value([ended.error.message, ended.error.hint, *(found.why for found in ended.criteria)])
    parts = {secret[at : at + 5] for at in range(len(secret) - 4)}
    assert not [(part, text) for text in texts for part in parts if part in text]
    assert MASK in texts[1] or before > 290  # at the very end, the mask itself is cut
