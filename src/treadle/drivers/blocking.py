"""Coroutines for callers that wait, with a running event loop or without one."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


def blocking(work: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine to its end; where a loop is running in this thread, in a thread of its own."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    result: list[_T] = []
    error: list[BaseException] = []
    started: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any] | None]] = []

    async def supervised() -> _T:
        started.append((asyncio.get_running_loop(), asyncio.current_task()))
        return await work

    def target() -> None:
        try:
            result.append(asyncio.run(supervised()))
        except BaseException as raised:  # noqa: BLE001 - handed on to the caller's thread, whatever it is
            error.append(raised)

    thread = threading.Thread(target=target, name="treadle-run")
    thread.start()
    try:
        thread.join()
    except BaseException:
        # Ctrl-C reaches this thread only; the run in the other one ends with it.
        for loop, task in started:
            if task is not None:
                loop.call_soon_threadsafe(task.cancel)
        thread.join()
        raise
    if error:
        raise error[0]
    return result[0]
