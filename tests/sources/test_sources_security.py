"""Security Schemes and Requirements, credentials in requests, and Digest against an independent implementation."""

from __future__ import annotations

import re

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from requests.auth import HTTPDigestAuth

from loader import cases
from treadle.sources import digest
from treadle.sources.needs import Credential, SecurityNeed
from treadle.sources.references import DocumentsMissing, Registry
from treadle.sources.request import HttpRequest, RequestInvalid
from treadle.sources.security import apply, at_server, read_security, unmet

URI = "https://docs.test/openapi.yaml"
SCHEMES = {
    "key": SecurityNeed("api", "key", "apiKey", "X-Key", "header"),
    "query": SecurityNeed("api", "query", "apiKey", "api key", "query"),
    "cookie": SecurityNeed("api", "cookie", "apiKey", "sid", "cookie"),
    "token": SecurityNeed("api", "token", "bearer"),
    "tls": SecurityNeed("api", "tls", "mutualTLS"),
}


def _request(written) -> HttpRequest:
    headers = tuple((name, value) for name, value in written.get("headers", ()))
    return HttpRequest(written.get("method", "GET"), written.get("url", "https://api.test/"), headers)


@pytest.mark.parametrize("case", cases("security.yaml"))
def test_a_credential_in_a_request(case):
    need = SecurityNeed("api", "scheme", **case["need"])
    challenge = digest.challenge([case["challenge"]]) if "challenge" in case else None
    credential = Credential(need, challenge=challenge, **case["credential"])
    if "refused" in case:
        with pytest.raises(RequestInvalid) as refused:
            apply(_request(case["request"]), credential)
        assert case["refused"] in refused.value.message
        assert not [value for value in case["credential"].values() if value in refused.value.message]
        return
    sent = apply(_request(case["request"]), credential)
    assert (sent.url, [list(field) for field in sent.headers]) == (case["sent"]["url"], case["sent"]["headers"])


@pytest.mark.parametrize("case", cases("sources/schemes.yaml"))
def test_what_an_operation_requires(case):
    schemes = case.get("schemes")
    registry = Registry({URI: {"components": {"securitySchemes": schemes}}})
    operation = {"security": case["security"]} if "security" in case else {}
    found = read_security(operation, case.get("root"), schemes, registry, URI, "api")
    read = msgspec.to_builtins(at_server(found, "https://api.test/v1/"))
    assert [len(needs) for needs in read] == [len(needs) for needs in case["needs"]]
    for needs, wanted in zip(read, case["needs"], strict=True):
        for need, fields in zip(needs, wanted, strict=True):
            assert {name: _plain(need[name]) for name in fields} == fields


def _plain(value):
    return [_plain(entry) for entry in value] if isinstance(value, list | tuple) else value


def test_an_algorithm_that_this_machine_lacks(monkeypatch):
    monkeypatch.setattr("hashlib.algorithms_available", {"md5"})
    found = digest.challenge(['Digest realm="r", nonce="n", algorithm=SHA-256, Digest realm="r", nonce="m"'])
    assert (found.nonce, found.algorithm) == ("m", "MD5")


def test_a_credential_shows_nothing():
    credential = Credential(SCHEMES["key"], token="hunter2222")
    assert repr(credential) == "<Credential for key>"


def test_a_token_url_that_is_none():
    schemes = {"o": {"type": "oauth2", "flows": {"clientCredentials": {"tokenUrl": "http://["}}}}
    found = read_security({"security": [{"o": []}]}, None, schemes, Registry({URI: {}}), URI, "api")
    assert at_server(found, "https://api.test/")[0][0].flows[0].token_url is None


def test_a_scheme_in_a_document_that_is_not_there_yet_is_asked_for():
    schemes = {"key": {"$ref": "schemes.yaml#/key"}}
    with pytest.raises(DocumentsMissing) as missing:
        read_security({}, [{"key": []}], schemes, Registry({URI: {}}), URI, "api")
    assert missing.value.uris == ["https://docs.test/schemes.yaml"]


@pytest.mark.parametrize("case", cases("sources/unmet.yaml"))
def test_what_is_left_for_credentials(case):
    alternatives = tuple(tuple(SCHEMES[name] for name in names) for names in case["security"])
    credentials = [Credential(SCHEMES[name]) for name in case.get("given", ())]
    left = unmet(alternatives, _request(case.get("request", {})), credentials)
    assert [[need.scheme for need in needs] for needs in left] == case["left"]


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ([], None),
        (['Basic realm="x"'], None),
        (["Digest"], None),
        (["", "@@"], None),
        (['Digest realm="r", nonce="n", @@'], ("r", "n", "MD5", None)),
        (['Digest realm="x"'], None),
        (['Digest realm="x", nonce="n", algorithm=SHA-1'], None),
        (['Digest realm="x", nonce="n", qop="auth-int"'], None),
        (['Digest realm="a\\"b\\\\", nonce=n'], ('a"b\\', "n", "MD5", None)),
        (
            ['Basic realm="Digest, nonce=x", Digest realm="r", nonce="n,1", qop="auth-int, auth"'],
            ("r", "n,1", "MD5", "auth"),
        ),
        (['DIGEST Realm = "r" , NONCE="n", algorithm="sha-256"'], ("r", "n", "sha-256", None)),
        (['Digest realm="r", nonce="1", algorithm=X', 'Digest realm="r", nonce="2"'], ("r", "2", "MD5", None)),
        (['Digest realm="r", nonce="1", algorithm=SHA-256, Digest realm="r", nonce="2"'], ("r", "1", "SHA-256", None)),
    ],
)
def test_a_challenge(fields, found):
    challenge = digest.challenge(fields)
    assert (challenge and (challenge.realm, challenge.nonce, challenge.algorithm, challenge.qop)) == found


_TEXTS = st.text(st.characters(codec="ascii", categories=("L", "N"), include_characters=" .-_@/"), min_size=1)
_WORDS = _TEXTS.filter(lambda text: text.strip() == text)


@settings(deadline=None)
@given(
    _WORDS, _WORDS, _WORDS, _WORDS, st.sampled_from(["MD5", "MD5-SESS", "SHA-256"]), st.booleans(),
    st.sampled_from(["/", "/a/b", "/a?b=c&d=%2F"]), st.sampled_from(["GET", "POST"]),
)  # fmt: skip
def test_digest_agrees_with_requests(user, password, realm, nonce, algorithm, with_qop, path, method):
    if algorithm == "MD5-SESS" and not with_qop:
        return  # requests sends no cnonce then, without which nobody can check it
    oracle = HTTPDigestAuth(user, password)
    oracle.init_per_thread_state()
    oracle._thread_local.chal = {"realm": realm, "nonce": nonce, "algorithm": algorithm}
    if with_qop:
        oracle._thread_local.chal["qop"] = "auth"
    theirs = oracle.build_digest_header(method, f"http://api.test{path}")
    cnonce = re.search(r'cnonce="([^"]*)"', theirs)
    qop = ', qop="auth"' if with_qop else ""
    asked = digest.challenge([f'Digest realm="{realm}", nonce="{nonce}", algorithm={algorithm}{qop}'])
    assert asked is not None
    need = SecurityNeed("api", "d", "digest")
    credential = Credential(need, "", user, password, asked, cnonce[1] if cnonce else "", 1)
    ours = digest.answer(method, f"http://api.test{path}", credential, asked)
    assert _response(ours) == _response(theirs)


def _response(header: str) -> str:
    found = re.search(r'response="([0-9a-f]+)"', header)
    assert found is not None
    return found[1]
