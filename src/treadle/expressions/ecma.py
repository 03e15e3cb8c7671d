r"""What ECMA-262 says otherwise than the engines of `patterns`, written in a form that they know.

`[^]` is any character and `[]` none; `\k<name>` refers back to a group by its name; `.` is no line terminator, of which
there are four; `\b` knows the letters of ASCII only; `\0` is U+0000 and `[\b]` U+0008; a `{` that opens no quantifier
stands for itself (annex B.1.2).
"""

import re

_PARTS = re.compile(
    r"""
      \\k<(?P<name>[^>]*)>                          # a reference by name
    | \\(?:[pP]|u)\{[^}]*\}                         # a property, a code point
    | (?P<nul>\\0)(?![0-9])
    | \\(?P<edge>[bB])
    | \\.                                           # any other escape
    | (?P<any>\[\^\])                               # any character
    | (?P<none>\[\])                                # no character
    | (?P<class>\[(?:\\.|[^\]\\])*\])
    | \(\?<(?P<group>[^=!>][^>]*)>                  # a group with a name
    | \(\?                                          # other groups, which capture nothing
    | (?P<capture>\()                               # a group without a name
    | (?P<dot>\.)
    | (?P<brace>\{)(?![0-9]+(?:,[0-9]*)?\})
    """,
    re.VERBOSE | re.DOTALL,
)
_IN_CLASS = re.compile(r"\\(?:(?P<nul>0)(?![0-9])|(?P<backspace>b)|.)", re.DOTALL)
_ALWAYS = {
    "any": r"[\s\S]", "none": r"[^\s\S]", "nul": r"\x00", "backspace": r"\x08", "dot": r"[^\n\r\u2028\u2029]", "brace": r"\{",
}  # fmt: skip
_WORD = "[0-9A-Za-z_]"
_EDGES = {
    "b": rf"(?:(?<={_WORD})(?!{_WORD})|(?<!{_WORD})(?={_WORD}))",
    "B": rf"(?:(?<={_WORD})(?={_WORD})|(?<!{_WORD})(?!{_WORD}))",
}


def known_to_engines(pattern: str, *, linear: bool) -> str:
    """Give a pattern that means the same to an engine; `linear` says to which."""
    groups: dict[str, int] = {}
    count = 0
    for part in _PARTS.finditer(pattern):
        count += part["capture"] is not None or part["group"] is not None
        if part["group"] is not None:
            groups[part["group"]] = count

    def written(part: re.Match[str]) -> str:
        if part["name"] in groups:
            return rf"(?:\{groups[part['name']]})"
        if part["edge"]:
            # One engine has a switch for this, the other looks around.
            return rf"(?-u:\{part['edge']})" if linear else _EDGES[part["edge"]]
        if part["class"]:
            return _IN_CLASS.sub(lambda inner: _ALWAYS.get(inner.lastgroup or "", inner[0]), part[0])
        return _ALWAYS.get(part.lastgroup or "", part[0])

    return _PARTS.sub(written, pattern)
