"""Loops as machine code, compiled when they are first called and kept on disk where there is a place to keep them."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import Any, ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")


def compiled(loop: Callable[P, R]) -> Callable[P, R]:
    """`loop` (over arrays and numbers, in the part of Python that numba knows) as machine code that lets other threads
    run. One form per combination of types is compiled at its first call, or read from the cache.

    The compiler is imported at the first call of any kernel, so that whoever only imports core does not wait for it.
    Indices are not checked and whole numbers wrap, as in C: callers guarantee both.
    """
    kernel = _Kernel(loop)
    update_wrapper(kernel, loop)
    return cast(Callable[P, R], kernel)


class _Kernel:
    """Compiled at the first call; a lost race between threads only repeats work."""

    def __init__(self, loop: Callable[..., Any]) -> None:
        self._loop = loop
        self._code: Callable[..., Any] | None = None

    def __call__(self, *args: Any) -> Any:
        if self._code is None:
            self._code = _compile(self._loop, cache=True)
        try:
            return self._code(*args)
        except OSError:
            # Only the cache touches files (a kernel does not): the disk is full, or the folder went away.
            self._code = _compile(self._loop, cache=False)
            return self._code(*args)


def _compile(loop: Callable[..., Any], *, cache: bool) -> Callable[..., Any]:
    from numba import njit  # here, not above: see compiled()

    try:
        code: Callable[..., Any] = njit(cache=cache, nogil=True, error_model="numpy")(loop)
    except RuntimeError:
        # numba keeps code beside the source, in NUMBA_CACHE_DIR or in the user's cache folder; none can be written.
        code = njit(nogil=True, error_model="numpy")(loop)
    return code
