"""What a security scheme asks for, and what is given for it: values only, which `security` reads and applies."""

from msgspec import Struct


class Flow(Struct, frozen=True, gc=False):
    """An OAuth Flow Object: one way to a token, with the URLs that it takes (OpenAPI 3.2 section 4.29)."""

    kind: str
    token_url: str | None = None
    authorization_url: str | None = None
    device_url: str | None = None
    refresh_url: str | None = None


class SecurityNeed(Struct, frozen=True, gc=False):
    """A security scheme that an operation requires (OpenAPI 3.2, "Security Scheme Object").

    Attributes:
        source: the name of the Source Description whose scheme it is.
        scheme: the name of the scheme in that description.
        kind: a key of `security.SCHEMES`, or the words of the description where Treadle has no such scheme.
        name: of an apiKey, the name of the header, query parameter or cookie.
        location: where the credential goes: header, query or cookie.
        scopes: what a token has to allow.
        flows: of oauth2, the ways to a token.
        discovery_url: of openIdConnect, where its metadata are.
    """

    source: str
    scheme: str
    kind: str
    name: str = "Authorization"
    location: str = "header"
    scopes: tuple[str, ...] = ()
    flows: tuple[Flow, ...] = ()
    discovery_url: str | None = None


class Challenge(Struct, frozen=True, gc=False):
    """What a server asks of a client in a Digest challenge (RFC 7616 section 3.3)."""

    realm: str
    nonce: str
    algorithm: str = "MD5"
    qop: str | None = None
    opaque: str | None = None
    userhash: bool = False
    stale: bool = False


class Credential(Struct, frozen=True, gc=False):
    """What is given for a need: a token or key, or a user and a password.

    For digest also the server's challenge, the client's own nonce, and how often the challenge has been answered.
    """

    need: SecurityNeed
    token: str = ""
    username: str = ""
    password: str = ""
    challenge: Challenge | None = None
    cnonce: str = ""
    count: int = 1

    def __repr__(self) -> str:
        return f"<Credential for {self.need.scheme}>"


Alternatives = tuple[tuple[SecurityNeed, ...], ...]
"""Security Requirement Objects: any one of them, each with all its schemes; an empty one asks for nothing."""
