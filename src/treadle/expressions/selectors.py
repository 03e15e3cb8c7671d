"""Selectors: JSONPath queries (RFC 9535), compiled once, with a bound on the time of their regular expressions.

JSON Pointers are in `treadle.pointer`; XPath comes with the whole of Arazzo.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from treadle.errors import ExpressionInvalid

if TYPE_CHECKING:
    from jsonpath_rfc9535 import JSONPathEnvironment

REGEX_TIMEOUT = 1.0
"""How long one `match()` or `search()` in a query may take, in seconds."""


@lru_cache(512)
def query(text: str) -> Callable[[Any], list[Any]]:
    """Compile a JSONPath query; the result gives the values of the nodes it selects.

    Raises:
        ExpressionInvalid: it is no query of RFC 9535; or, when it is applied, it takes too long.
    """
    from jsonpath_rfc9535 import JSONPathError  # noqa: PLC0415 - imported when a document has a query

    try:
        compiled = _environment().compile(text)
    except (JSONPathError, RecursionError, ValueError, OverflowError) as error:  # the last three of hostile texts
        # The library quotes parts of the text, which may hold a secret that was filled in: that is for whoever wrote it.
        hint = f"{str(error).splitlines()[0]}; queries are those of RFC 9535"
        raise ExpressionInvalid(f"{text!r} is no JSONPath query", 0, len(text), hint=hint) from error

    def select(value: Any) -> list[Any]:
        try:
            return [node.value for node in compiled.finditer(value)]
        except (JSONPathError, TimeoutError, RecursionError) as error:
            raise ExpressionInvalid(f"{text!r} could not be applied: {error}", 0, len(text)) from error

    return select


@lru_cache(1)
def _environment() -> "JSONPathEnvironment":
    import regex  # noqa: PLC0415
    from iregexp_check import check  # noqa: PLC0415
    from jsonpath_rfc9535 import JSONPathEnvironment, function_extensions  # noqa: PLC0415
    from jsonpath_rfc9535.function_extensions._pattern import map_re  # noqa: PLC0415

    def bounded(method: Callable[..., Any], string: Any, pattern: Any) -> bool:
        if not isinstance(string, str) or not isinstance(pattern, str) or not check(pattern):
            return False
        try:
            return bool(method(map_re(pattern), string, timeout=REGEX_TIMEOUT))
        except regex.error:
            return False

    # The library's own functions have no bound: `match(@, "(a|aa)+")` hangs on a long text.
    class Match(function_extensions.Match):
        def __call__(self, string: Any, pattern: Any) -> bool:
            return bounded(regex.fullmatch, string, pattern)

    class Search(function_extensions.Search):
        def __call__(self, string: Any, pattern: Any) -> bool:
            return bounded(regex.search, string, pattern)

    environment = JSONPathEnvironment()
    environment.function_extensions["match"] = Match()
    environment.function_extensions["search"] = Search()
    return environment
