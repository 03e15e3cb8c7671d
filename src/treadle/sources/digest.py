"""HTTP Digest access authentication (RFC 7616): reading challenges and answering them. Pure; nonces come from outside."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, urlsplit

from treadle.sources.needs import Challenge, Credential

ALGORITHMS = {"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}
"""Algorithms of RFC 7616 section 6.1 and what hashlib calls them; each also with `-sess`."""
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER = re.compile(rf'\s*({_WORD})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))\s*')
_SCHEME = re.compile(rf"\s*({_WORD})(?:\s+|$|(?=,))")


def challenge(fields: Iterable[str]) -> Challenge | None:
    """Give the first Digest challenge of WWW-Authenticate fields that can be answered, or None.

    "The client SHOULD choose the first challenge that it supports" (section 3.7).
    """
    for scheme, parameters in _challenges(fields):
        algorithm = parameters.get("algorithm", "MD5")
        base = algorithm.upper().removesuffix("-SESS")
        if scheme != "digest" or "nonce" not in parameters or base not in ALGORITHMS:
            continue
        if ALGORITHMS[base] not in hashlib.algorithms_available:
            continue
        offered = {word.strip().lower() for word in parameters.get("qop", "").split(",") if word.strip()}
        if offered and "auth" not in offered:
            continue
        return Challenge(
            realm=parameters.get("realm", ""),
            nonce=parameters["nonce"],
            algorithm=algorithm,
            qop="auth" if offered else None,
            opaque=parameters.get("opaque"),
            userhash=parameters.get("userhash", "").lower() == "true",
            stale=parameters.get("stale", "").lower() == "true",
        )
    return None


def _challenges(fields: Iterable[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Give schemes (in lower case) with their parameters; a comma separates both (RFC 9110 section 11.6.1)."""
    for field in fields:
        at = 0
        scheme = ""
        parameters: dict[str, str] = {}
        while at < len(field):
            found = _PARAMETER.match(field, at)
            if found is not None and scheme:
                quoted = found[2]
                parameters[found[1].lower()] = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else found[3]
            else:
                found = _SCHEME.match(field, at)
                if found is None:
                    break
                if scheme:
                    yield scheme, parameters
                scheme, parameters = found[1].lower(), {}
            at = found.end()
            while at < len(field) and field[at] in ", \t":
                at += 1
        if scheme:
            yield scheme, parameters


def answer(method: str, url: str, credential: Credential, given: Challenge) -> str:
    """Give the Authorization field that answers a challenge (sections 3.4 and 3.4.1 to 3.4.4)."""
    parts = urlsplit(url)
    uri = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    algorithm = given.algorithm.upper()
    user = credential.username
    secret = _hash(algorithm, f"{user}:{given.realm}:{credential.password}")
    if algorithm.endswith("-SESS"):
        secret = _hash(algorithm, f"{secret}:{given.nonce}:{credential.cnonce}")
    what = _hash(algorithm, f"{method}:{uri}")
    count = f"{credential.count:08x}"
    middle = f"{given.nonce}:{count}:{credential.cnonce}:{given.qop}" if given.qop else given.nonce
    fields = [
        _user(user, given, algorithm),
        f"realm={_quoted(given.realm)}",
        f"nonce={_quoted(given.nonce)}",
        f"uri={_quoted(uri)}",
        f'response="{_hash(algorithm, f"{secret}:{middle}:{what}")}"',
        f"algorithm={given.algorithm}",
    ]
    if given.qop:
        fields += [f"qop={given.qop}", f"nc={count}"]
    if given.qop or algorithm.endswith("-SESS"):
        fields.append(f"cnonce={_quoted(credential.cnonce)}")
    if given.opaque is not None:
        fields.append(f"opaque={_quoted(given.opaque)}")
    if given.userhash:
        fields.append("userhash=true")
    return "Digest " + ", ".join(fields)


def _user(user: str, given: Challenge, algorithm: str) -> str:
    if given.userhash:
        return f'username="{_hash(algorithm, f"{user}:{given.realm}")}"'
    if user.isascii() and user.isprintable():
        return f"username={_quoted(user)}"
    return f"username*=UTF-8''{quote(user, safe='')}"  # RFC 8187


def _hash(algorithm: str, text: str) -> str:
    name = ALGORITHMS[algorithm.removesuffix("-SESS")]
    return hashlib.new(name, text.encode(), usedforsecurity=False).hexdigest()


def _quoted(text: str) -> str:
    escaped = re.sub(r'(["\\])', r"\\\1", text)
    return f'"{escaped}"'
