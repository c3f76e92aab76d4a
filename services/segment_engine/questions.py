"""Questions about everyone, asked in threads of their own beside the loop that answers the short ones.

They take turns, as many at once as there are processors, so that a crowd of them neither takes the threads that fold
the log nor fills the memory with halves of answers. (To let these threads stand back for a processor was tried and is
worse: one that waits while it has the interpreter lock keeps everybody waiting.)
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import cache
from typing import TypeVar

T = TypeVar("T")


async def answered(ask: Callable[[], T]) -> T:
    """What `ask` returns, or raises, from a thread for questions; it sees the context of the caller."""
    return await asyncio.get_running_loop().run_in_executor(_threads(), copy_context().run, ask)


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(2, os.cpu_count() or 2), "question")
