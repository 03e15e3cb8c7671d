r"""What ECMA-262 has and the engines of `patterns` lack, written in a form that they know.

`[^]` is any character and `[]` none; `\k<name>` refers back to a group by its name.
"""

import re

_PARTS = re.compile(
    r"""
      \\k<(?P<name>[^>]*)>            # a reference by name
    | \\.                             # any other escape
    | (?P<any>\[\^\])                 # any character
    | (?P<none>\[\])                  # no character
    | \[(?:\\.|[^\]\\])*\]          # a class
    | \(\?<(?P<group>[^=!>][^>]*)>    # a group with a name
    | \(\?                            # other groups, which capture nothing
    | (?P<capture>\()                 # a group without a name
    """,
    re.VERBOSE | re.DOTALL,
)


def known_to_engines(pattern: str) -> str:
    """Give a pattern that means the same and is written without those forms."""
    if "[]" not in pattern and "[^]" not in pattern and "\\k<" not in pattern:
        return pattern
    groups: dict[str, int] = {}
    count = 0
    for part in _PARTS.finditer(pattern):
        count += part["capture"] is not None or part["group"] is not None
        if part["group"] is not None:
            groups[part["group"]] = count

    def written(part: re.Match[str]) -> str:
        if part["any"]:
            return r"[\s\S]"
        if part["none"]:
            return "(?!)"
        if part["name"] in groups:
            return rf"(?:\{groups[part['name']]})"
        return part[0]

    return _PARTS.sub(written, pattern)
