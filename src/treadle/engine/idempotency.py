"""`Idempotency-Key`: a request that carries one may be sent twice, for the server takes the second for the first.

(draft-ietf-httpapi-idempotency-key-header.) A key is derived from the run and the effect, so a resumed run sends the
same one.
"""

import hashlib

from msgspec import structs

from treadle.sources.operation import Operation
from treadle.sources.request import IDEMPOTENT_METHODS, HttpRequest

HEADER = "Idempotency-Key"


def keyed(
    operation: Operation, request: HttpRequest, run_id: str, effect_id: str, *, wanted: bool
) -> tuple[HttpRequest, bool]:
    """Give a request with its key, and whether it has one that its operation knows or that was asked for.

    One that the document gives by itself stays. Requests that are idempotent anyway have none.
    """
    if request.method in IDEMPOTENT_METHODS:
        return request, False
    if not wanted and operation.parameter(HEADER, "header") is None:
        return request, False
    if any(name.lower() == HEADER.lower() for name, _ in request.headers):
        return request, True
    key = (HEADER, key_of(run_id, effect_id))
    return structs.replace(request, headers=(*request.headers, key)), True


def key_of(run_id: str, effect_id: str) -> str:
    """Give the key of an effect, as a UUID of version 8 (RFC 9562 section 5.8)."""
    digits = hashlib.sha256(f"{run_id}\n{effect_id}".encode()).hexdigest()
    variant = "89ab"[int(digits[16], 16) % 4]
    return f"{digits[:8]}-{digits[8:12]}-8{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}"
