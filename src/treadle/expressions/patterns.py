"""Regular expressions, on engines whose time is bounded: ECMA-262 for criteria, I-Regexp (RFC 9485) for JSONPath.

What a linear engine can run, it runs. Look-around and back references need one that goes back; how often it may is
counted. Both bounds shrink as the text grows, so that pattern times text stays the same.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from treadle.errors import ExpressionInvalid
from treadle.expressions.budget import OutOfBudget
from treadle.expressions.ecma import known_to_engines

if TYPE_CHECKING:
    from jsonschema_rs import Draft202012Validator, FancyRegexOptions, RegexOptions

_SIZE = 1 << 23
"""How large a compiled pattern may be, in bytes, for a short text."""
_LEAST_SIZE = 20_000
"""A size that is never refused: everyday patterns fit, and one of that size runs at a megabyte in a second at worst."""
_STEPS = 200_000_000
"""How many characters a pattern that goes back may look at: how often it goes back times the length of the text."""
_MOST_STEPS_BACK = 1 << 17
_LONG = 1_000_000
"""Texts longer than this are no context for a pattern that goes back."""
_ITERATED_SIZE = 1_000_000
MAX_PATTERN = 1_000
"""How long a pattern in a query may be, in characters."""
MAX_REPEATS = 100_000
"""How often a pattern in a query may repeat a character, repetitions of repetitions multiplied."""

Search = Callable[[str], bool]


@lru_cache(512)
def ecma(pattern: str) -> Search:
    """Compile a pattern of ECMA-262; the result says whether a text has it anywhere.

    Raises:
        ExpressionInvalid: it is no such pattern; or, when it is applied, it would take too long.
    """
    linear = _linear(pattern, _SIZE) is not None
    if not linear and _going_back(pattern, _MOST_STEPS_BACK) is None:
        message = f"{pattern!r} is no regular expression"
        raise ExpressionInvalid(message, 0, len(pattern), hint="the flavour is ECMA-262, as in JavaScript")
    return lambda text: _search(pattern, text, linear=linear)


def _search(pattern: str, text: str, *, linear: bool) -> bool:
    size = max(len(text), 1)
    if linear:
        validator = _linear(pattern, _power_of_two(min(_SIZE, max(_LEAST_SIZE, 5_000_000_000 // size))))
    elif size <= _LONG:
        validator = _going_back(pattern, _power_of_two(min(_MOST_STEPS_BACK, _STEPS // size)))
    else:
        validator = None
    try:
        if validator is not None and validator.is_valid(text):
            return True
        if validator is None or (not linear and _gave_up(validator, text)):
            raise OutOfBudget(f"{pattern!r} takes too long on this text", 0, len(pattern))
    except UnicodeEncodeError as error:
        raise ExpressionInvalid("the text holds half a surrogate pair, which no character is") from error
    return False


def _power_of_two(number: int) -> int:
    return 1 << (number.bit_length() - 1)


def _gave_up(validator: "Draft202012Validator", text: str) -> bool:
    from jsonschema_rs import ValidationErrorKind  # noqa: PLC0415 - imported when a document has a regular expression

    return any(
        isinstance(error.kind, ValidationErrorKind.BacktrackLimitExceeded | ValidationErrorKind.RegexEngineFailure)
        for error in validator.iter_errors(text)
    )


@lru_cache(1024)
def _linear(pattern: str, size: int) -> "Draft202012Validator | None":
    from jsonschema_rs import RegexOptions  # noqa: PLC0415

    return _compiled(known_to_engines(pattern, linear=True), RegexOptions(size_limit=size))


@lru_cache(1024)
def _going_back(pattern: str, steps: int) -> "Draft202012Validator | None":
    from jsonschema_rs import FancyRegexOptions  # noqa: PLC0415

    return _compiled(known_to_engines(pattern, linear=False), FancyRegexOptions(backtrack_limit=steps))


def _compiled(pattern: str, options: "RegexOptions | FancyRegexOptions") -> "Draft202012Validator | None":
    from jsonschema_rs import Draft202012Validator, ValidationError  # noqa: PLC0415

    try:
        # "pattern" of JSON Schema is ECMA-262 and searches, which is what a criterion asks for.
        return Draft202012Validator({"pattern": pattern}, pattern_options=options)
    except (ValidationError, ValueError):  # the latter of half a surrogate pair
        return None


class Iterated(NamedTuple):
    """A pattern of I-Regexp: what says whether a text fits, and how many characters it may stand for."""

    fits: Search
    repeats: int

    def cost(self, text: str) -> int:
        """Give what it costs at worst to apply it to a text, in units of the budget."""
        return 3 + len(text) * self.repeats // 25


@lru_cache(512)
def iregexp(pattern: str, *, whole: bool) -> Iterated | None:
    """Compile a pattern of I-Regexp for `match()` (`whole`) or `search()`; None where it is no such pattern.

    Raises:
        OutOfBudget: it is longer, or repeats more, than any text is worth.
    """
    if len(pattern) > MAX_PATTERN:
        raise OutOfBudget(f"a pattern of {len(pattern)} characters is too long")
    reader = _Reader(pattern)
    try:
        written, repeats = reader.alternatives(0)
    except ValueError:
        return None
    if repeats > MAX_REPEATS:
        raise OutOfBudget("a pattern repeats too much")
    validator = _linear(f"^(?:{written})$" if whole else f"(?:{written})", _ITERATED_SIZE)
    if validator is None:
        raise OutOfBudget("a pattern is too large")
    return Iterated(validator.is_valid, repeats)


_CATEGORIES = {"L": "lmotu", "M": "cen", "N": "dlo", "P": "cdefios", "Z": "lps", "S": "ckmo", "C": "cfno"}
_SINGLE_ESCAPES = frozenset("()*+-.?[\\]^nrt{|}")
_NOT_NORMAL = frozenset("()*+.?[\\]{|}")


class _Reader:
    """Reads I-Regexp by the grammar of RFC 9485, section 3, and writes it so that ECMA-262 means the same.

    Every method gives what it wrote and how many characters it may stand for, repetitions multiplied. ValueError says
    that the grammar does not allow what is there.
    """

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0

    def alternatives(self, depth: int) -> tuple[str, int]:
        written = []
        repeats = 1
        while True:
            branch, more = self.branch(depth)
            written.append(branch)
            repeats += more
            if not self.take("|"):
                break
        if self.at < len(self.pattern) and not (depth and self.pattern[self.at] == ")"):
            raise ValueError("a pattern ends here")
        return "|".join(written), repeats

    def branch(self, depth: int) -> tuple[str, int]:
        written = []
        repeats = 0
        while self.at < len(self.pattern) and self.pattern[self.at] not in "|)":
            atom, more = self.atom(depth)
            quantifier, times = self.quantifier()
            written.append(atom + quantifier)
            repeats += more * times
        return "".join(written), repeats

    def take(self, character: str) -> bool:
        found = self.pattern.startswith(character, self.at)
        self.at += found
        return found

    def next(self) -> str:
        if self.at == len(self.pattern):
            raise ValueError("the pattern ends too early")
        self.at += 1
        return self.pattern[self.at - 1]

    def atom(self, depth: int) -> tuple[str, int]:
        character = self.next()
        if character == "(":
            inner, repeats = self.alternatives(depth + 1)
            if not self.take(")"):
                raise ValueError("a group is not closed")
            return f"(?:{inner})", repeats
        if character == ".":
            return "[^\\n\\r]", 1  # section 5.3
        if character == "[":
            return self.character_class(), 1
        if character == "\\":
            return self.escape(), 1
        if character in _NOT_NORMAL or "\ud800" <= character <= "\udfff":
            raise ValueError("the character must be escaped")
        return character if character in "^$" else _literal(character), 1

    def quantifier(self) -> tuple[str, int]:
        for written in "*+?":
            if self.take(written):
                return written, 1
        if not self.take("{"):
            return "", 1
        least = self.digits()
        most = least
        if self.take(","):
            most = "" if self.pattern.startswith("}", self.at) else self.digits()
            least += ","
        if not self.take("}") or (most and int(most) < int(least.rstrip(","))):
            raise ValueError("a repetition is written {2}, {2,} or {2,3}")
        times = max(int(least.rstrip(",")), int(most or 0), 1)
        return "{" + least + ("" if "," not in least else most) + "}", times

    def digits(self) -> str:
        begin = self.at
        while self.at < len(self.pattern) and self.pattern[self.at] in "0123456789":
            self.at += 1
        digits = self.pattern[begin : self.at].lstrip("0") or self.pattern[begin : self.at][:1]
        if not 0 < len(digits) <= 9:
            raise ValueError("a repetition takes a number")
        return digits

    def escape(self) -> str:
        character = self.next()
        if character in "pP":
            return self.category(character)
        if character not in _SINGLE_ESCAPES:
            raise ValueError("nothing else is escaped")
        return "\\" + character if character in "nrt" else _literal(character)

    def category(self, letter: str) -> str:
        end = self.pattern.find("}", self.at)
        name = self.pattern[self.at + 1 : end]
        if not self.take("{") or end < 0 or name[:1] not in _CATEGORIES or len(name) > 2:
            raise ValueError("a category of characters stands in braces")
        if name[1:] not in _CATEGORIES[name[0]]:
            raise ValueError("there is no such category")
        self.at = end + 1
        return f"\\{letter}{{{name}}}"

    def character_class(self) -> str:
        written = ["[^" if self.take("^") else "["]
        if self.take("-"):
            written.append(_literal("-"))
        while not self.take("]"):
            character = self.next()
            if character == "-":
                if not self.take("]"):
                    raise ValueError("a hyphen stands first or last")
                written.append(_literal("-"))
                break
            first = self.class_character(character)
            if len(first) > 1 and first[1] in "pP":
                written.append(first)
                continue
            written.append(first)
            if self.pattern.startswith("-", self.at) and not self.pattern.startswith("-]", self.at):
                self.at += 1
                last = self.class_character(self.next())
                if last[1:2] in ("p", "P") or _code(last) < _code(first):
                    raise ValueError("a range goes from a character to a later one")
                written.append(f"-{last}")
        if written[-1] in ("[", "[^"):
            raise ValueError("a class has no characters")
        return "".join(written) + "]"

    def class_character(self, character: str) -> str:
        if character == "\\":
            return self.escape()
        if character in "-[]" or "\ud800" <= character <= "\udfff":
            raise ValueError("the character must be escaped")
        return _literal(character)


def _literal(character: str) -> str:
    """Write a character so that it stands for itself wherever it stands."""
    return character if character.isalnum() or character > "\x7f" else f"\\u{ord(character):04x}"


def _code(written: str) -> int:
    escaped = {"\\n": "\n", "\\r": "\r", "\\t": "\t"}
    code = written.removeprefix("\\u")
    return int(code, 16) if code != written else ord(escaped.get(written, written))
