"""Named places where a test can kill the process: `CDP_FAILPOINT=name:n` dies at the n-th pass of `name`."""

from __future__ import annotations

import os
import sys
from collections import Counter

_PASSES: Counter[str] = Counter()


def failpoint(name: str) -> None:
    """Do nothing, or end the process at once (exit code 137, as by kill -9) when the environment says so here."""
    wanted = os.environ.get("CDP_FAILPOINT")
    if wanted is None:
        return
    wanted_name, _, count = wanted.partition(":")
    if wanted_name != name:
        return
    _PASSES[name] += 1
    if _PASSES[name] >= int(count or "1"):
        sys.stderr.write(f"failpoint {name} reached, ending\n")
        sys.stderr.flush()
        os._exit(137)
