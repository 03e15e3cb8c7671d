"""What a run asks its driver to do, and what the driver brings back. Effects have derived ids, never random ones."""

from typing import TypeAlias

from msgspec import Struct

from treadle.sources.needs import Alternatives, Credential
from treadle.sources.request import IDEMPOTENT_METHODS, SAFE_METHODS, HttpRequest


class SendHttp(Struct, frozen=True, gc=False, tag=True):
    """Send one request; `timeout` in seconds is the step's own limit, or None where the step has none.

    `security` is what the operation requires and the step has not set; the driver applies what it has for one of the
    alternatives just before it sends. `credentials` are those that the document itself gives (`x-security`).
    A request that is `keyed` has a key by which its server knows it again (Idempotency-Key).
    """

    id: str
    step_id: str
    request: HttpRequest
    timeout: float | None = None
    security: Alternatives = ()
    credentials: tuple[Credential, ...] = ()
    keyed: bool = False

    @property
    def safe(self) -> bool:
        """Whether the request only reads (RFC 9110 section 9.2.1)."""
        return self.request.method in SAFE_METHODS

    @property
    def repeatable(self) -> bool:
        """Whether the driver may repeat it by itself: it only reads, or its server knows it again."""
        return self.keyed or self.safe

    @property
    def idempotent(self) -> bool:
        """Whether sending it twice is as good as once (RFC 9110 section 9.2.2, or by its key)."""
        return self.keyed or self.request.method in IDEMPOTENT_METHODS


class Sleep(Struct, frozen=True, gc=False, tag=True):
    """Wait `seconds`; the driver spreads it by up to `jitter` (a share, 0.1 is 10 %) either way."""

    id: str
    step_id: str
    seconds: float
    reason: str
    jitter: float = 0.0


class HttpResponse(Struct, frozen=True, gc=False, tag=True):
    """The answer to a SendHttp: header fields as received, body decoded from its content coding.

    `note` is what the driver has to say about a refusal: which credential was missing, or not accepted.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    note: str | None = None


class HttpFailed(Struct, frozen=True, gc=False, tag=True):
    """No answer to a SendHttp.

    `sent` says that the request, or a part of it, may have reached the server.
    """

    kind: str
    message: str
    hint: str | None = None
    sent: bool = False


class Slept(Struct, frozen=True, gc=False, tag=True):
    """A Sleep is over."""


Effect: TypeAlias = SendHttp | Sleep
Result: TypeAlias = HttpResponse | HttpFailed | Slept
