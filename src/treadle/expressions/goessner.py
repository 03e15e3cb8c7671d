"""JSONPath as it was before the standard (draft-goessner-dispatch-jsonpath-00), written so that RFC 9535 can read it.

The draft leaves filters to "the underlying script language", which is JavaScript in its examples: that is how values
are compared here. What needs a script engine is refused by name; nothing is ever evaluated as code.
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

from treadle.errors import ExpressionInvalid

_TOKEN = re.compile(
    r"""
      (?P<string> '(?:\\.|[^'\\])*' | "(?:\\.|[^"\\])*" )
    | (?P<last> \[ \s* \( \s* @ \s* \.length \s* - \s* (?P<back> [0-9]{1,15} ) \s* \) \s* \] )
    | (?P<script> \[ \s* \( )
    | (?P<filter> \[ \s* \? )
    | (?P<names> \[ \s* [A-Za-z_$][\w$-]* (?: \s* , \s* [A-Za-z_$][\w$-]* )* \s* \] )
    | (?P<open> \[ ) | (?P<close> \] )
    | (?P<exactly> [=!]== )
    | (?P<regex> =~ | \.(?:match|test)\s*\( )
    | (?P<method> \.[A-Za-z_]\w*\s*\( )
    | (?P<word> \b(?:typeof|undefined|instanceof)\b )
    | (?P<dots> \.\.? ) (?P<name> [\w$@] [\w$@-]* )?
    | (?P<number> \b [0-9]+ (?: \.[0-9]+ )? )
    | (?P<sum> [+/%^~] | (?<= [\w\])] ) \s* [-*] )
    """,
    re.VERBOSE | re.DOTALL,
)
_SHORT_NAME = re.compile(r"[A-Za-z_\u0080-\U0010ffff]\w*")
_IN_A_FILTER = re.compile(r"[\w$]+")


class Script(NamedTuple):
    """A query in the syntax of RFC 9535, and the offsets in it of what was written `===` and `!==`."""

    text: str
    strict: frozenset[int]


def rewritten(text: str) -> Script:
    """Write a query of the draft as RFC 9535 does.

    Raises:
        ExpressionInvalid: it asks for what only a script engine could do.
    """
    return _Writer(text).script()


class _Writer:
    def __init__(self, text: str) -> None:
        self.text = text
        self.written: list[str] = []
        self.brackets: list[bool] = []  # whether each one that is open is a filter
        self.strict: list[int] = []

    def script(self) -> Script:
        begin = len(self.text) - len(self.text.lstrip())
        if not self.text.startswith("$", begin):
            # The implementations of the draft take `store.book` for `$.store.book`.
            self.written.append("$" if self.text.startswith((".", "["), begin) else "$.")
        at = begin
        while at < len(self.text.rstrip()):
            if self.written == ["$."]:
                match = _TOKEN.match(f".{self.text[at:]}")
                if match is None or match["name"] is None:
                    self.refuse("the query starts with no name", at)
                self.written = ["$"]
                self.name(match, "." + match["name"])
                at += match.end() - 1
                continue
            match = _TOKEN.match(self.text, at)
            if match is None:
                self.written.append(self.text[at])
                at += 1
                continue
            at = self.take(match)
        return Script("".join(self.written), frozenset(self.strict))

    def refuse(self, message: str, at: int) -> NoReturn:
        hint = "write the query in RFC 9535, without the version"
        raise ExpressionInvalid(message, at, len(self.text), hint=hint)

    def take(self, match: re.Match[str]) -> int:
        """Write what stands here in its other form; give the offset after it."""
        token = match[0]
        in_filter = any(self.brackets)
        match match.lastgroup:
            case "script":
                self.refuse(
                    "a script in brackets cannot be run; only `(@.length-1)` and the like can be read", match.start()
                )
            case "regex" if in_filter:
                self.refuse("regular expressions in filters came later than the draft", match.start())
            case "method" | "word" | "sum" if in_filter:
                self.refuse(f"`{token.strip('.( ')}` needs a script engine, and there is none", match.start())
        if match["last"]:
            self.written.append(f"[-{match['back']}]")
        elif match["names"] and not in_filter:
            names = (name.strip() for name in token[1:-1].split(","))
            self.written.append("[" + ",".join(f"'{name}'" for name in names) + "]")
        elif match["filter"] or match["open"] or match["names"]:
            self.brackets.append(bool(match["filter"]))
            self.written.append("[?" if match["filter"] else "[")
            return match.end() if not match["names"] else match.start() + 1
        elif match["close"]:
            del self.brackets[-1:]
            self.written.append("]")
        elif match["exactly"]:
            self.strict.append(sum(map(len, self.written)))
            self.written.append(token[:2])
        elif match["name"]:
            return self.name(match, token)
        else:
            self.written.append(token)
        return match.end()

    def name(self, match: re.Match[str], token: str) -> int:
        """Write a name after a dot: in brackets where RFC 9535 wants quotes around it, as an index where it is one."""
        dots, name = match["dots"], token[len(match["dots"]) :]
        if any(self.brackets):  # a hyphen is a minus there
            found = _IN_A_FILTER.match(name)
            name = found[0] if found else ""
        if _SHORT_NAME.fullmatch(name) or not name:
            self.written.append(dots + name)
        else:
            # To JavaScript an index is a name like others.
            is_index = name.isdecimal() and (name == "0" or name[0] != "0") and len(name) < 16
            inner = f"'{name}',{name}" if is_index and not any(self.brackets) else name if is_index else f"'{name}'"
            self.written.append((".." if dots == ".." else "") + f"[{inner}]")
        return match.start() + len(dots) + len(name)


def truthy(value: Any, nothing: object) -> bool:
    """Say whether JavaScript takes a value for true."""
    return not (value is nothing or value is None or value is False or (value in (0, "") and value is not False))


def compare(operator: str, left: Any, right: Any, nothing: object) -> bool:
    """Compare like JavaScript's `==` and `<`: what is not there is null, a boolean and a numeric string are numbers."""
    if operator in ("==", "!="):
        equal = _loosely_equal(None if left is nothing else left, None if right is nothing else right)
        return equal is (operator == "==")
    if left is nothing or right is nothing:
        return False
    if not (isinstance(left, str) and isinstance(right, str)):
        left, right = _number(left), _number(right)
    return left is not None and right is not None and _ORDER[operator](left, right)


def _loosely_equal(left: Any, right: Any) -> bool:
    if left is None or right is None:
        return left is right
    if isinstance(left, str) and isinstance(right, str):
        return left == right
    if isinstance(left, dict | list) or isinstance(right, dict | list):
        return left is right  # objects are equal to themselves only
    first, second = _number(left), _number(right)
    return first is not None and first == second


def _number(value: Any) -> int | float | None:
    if value is None:
        return 0
    if isinstance(value, str):
        text = value.strip()
        try:
            return float(text) if text else 0
        except ValueError:
            return None
    return value if isinstance(value, int | float) else None


_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}
