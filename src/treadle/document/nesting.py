"""How deep JSON texts nest, told without a look at each value: whatever goes through one later does so by recursion."""

DEEPEST = 256
"""How many arrays and objects may stand in each other; YAML has the same limit, from its reader."""
_AS_ARRAYS = bytes.maketrans(b"{}", b"[]")
_PLAIN = bytes(set(range(256)) - set(b'[]{}"'))
"""What says nothing of arrays, objects and where strings are, once what is escaped has gone."""


def nests_too_deeply(text: bytes) -> bool:
    """Say whether a text that is JSON has more than DEEPEST arrays and objects in each other."""
    if text.count(b"[") + text.count(b"{") <= DEEPEST:
        return False  # the usual case
    bare = text.replace(rb"\\", b"").replace(rb"\"", b"").translate(_AS_ARRAYS, _PLAIN)
    # Two quotation marks side by side are a string without brackets, or the end of one and the begin of the next one.
    left = b"".join(bare.replace(b'""', b"").split(b'"')[::2])
    for _ in range(DEEPEST):
        if not left:
            break
        left = left.replace(b"[]", b"")  # takes the innermost level away
    return bool(left)
