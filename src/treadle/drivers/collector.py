"""The garbage collector of the process, which rests while much is made that stays."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def at_rest() -> Iterator[None]:
    """Have the collector rest in the block, if it is at work.

    While modules are imported or a large text is read, there is nothing for it to find, and it looks all the same: with every
    700 new objects at those, and a round over everything comes the earlier for it.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
