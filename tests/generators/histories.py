"""Random recorded memberships of saved segments."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import numpy as np

from core.query.knowledge import MembershipHistory
from tests.generators.moments import Moments


def histories(random: Random, moments: Moments, segments: Iterable[str], contacts: int) -> dict[str, MembershipHistory]:
    """For most segments the records of some contacts, alternating, entering first, at instants that never repeat."""
    return {name: _history(random, moments, contacts) for name in segments if random.random() < 0.85}


def _history(random: Random, moments: Moments, contacts: int) -> MembershipHistory:
    rows: list[tuple[int, int, bool]] = []
    for contact in range(contacts):
        if random.random() < 0.7:
            instants = sorted({moments.instant() for _ in range(random.randint(1, 4))})
            rows += [(contact, us, number % 2 == 0) for number, us in enumerate(instants)]
    return MembershipHistory(
        min((us for _, us, _ in rows), default=0),
        np.array([contact for contact, _, _ in rows], np.uint32),
        np.array([us for _, us, _ in rows], np.int64),
        np.array([entered for _, _, entered in rows], np.bool_),
    )
