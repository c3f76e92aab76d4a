"""Whether events follow one another, group by group (a contact; or a contact and a value).

Steps are given one after the other in joined columns: step s has the rows `offsets[s]` to `offsets[s + 1]` of `keys`
(uint64, the group), `times` and `ids` (equal for the same event in two steps), ascending by (key, time). Per step:
`negative`, `within` (NO_LIMIT: none) and `from_first` (it measures from the first step's event). Step 0 is positive.

Why one pass over each step is exact. Events of positive steps are strictly later one by one, so they are distinct, and
every constraint between two neighbours p and q (the limit of q, the negative steps between them, p itself excepted)
depends on p, q and the first event alone. Negative events before p do not matter, so for a fixed first event each p has
one last instant L(p) up to which q may come: the limit, or the earliest forbidden event at or after p that lies within
the negative step's own limit. Hence q can be reached if and only if some p that was reached lies before q and has
L(p) >= q: the largest L of all p before q decides. Where nothing measures from the first event, all first events are
tried at once; otherwise one after the other, as a later first event helps a positive step and harms a negative one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.kernels.compiled import compiled

#: A duration beyond all instants whose sum with any instant still fits.
NO_LIMIT = 2**62

Numbers = NDArray[np.int64]
Keys = NDArray[np.uint64]
Flags = NDArray[np.uint8]


@compiled
def groups_with_sequence(
    offsets: Numbers,
    keys: Keys,
    times: Numbers,
    ids: Numbers,
    negative: Flags,
    within: Numbers,
    from_first: Flags,
    as_of_us: int,
    found: Keys,
) -> int:
    """Write the keys of the groups in which the sequence holds to the front of `found` (as long as step 0),
    ascending; their number. All events are at or before `as_of_us`."""
    steps = len(negative)
    start = offsets[:steps].copy()
    stop = offsets[:steps].copy()
    nearest = np.empty(steps, np.int64)
    reached = np.zeros(len(keys), np.uint8)
    anchored = False
    for s in range(steps):
        anchored = anchored or from_first[s] != 0
    count = 0
    while stop[0] < offsets[1]:
        key = keys[stop[0]]
        complete = True
        for s in range(steps):
            place = stop[s]
            while place < offsets[s + 1] and keys[place] < key:
                place += 1
            start[s] = place
            while place < offsets[s + 1] and keys[place] == key:
                place += 1
            stop[s] = place
            if negative[s] == 0 and start[s] == place:
                complete = False
        if not complete:
            continue
        tries = stop[0] - start[0] if anchored else 1
        holds = False
        for attempt in range(tries):
            # The events of the first step that count in this attempt, and the instant that is measured from.
            first_from = start[0] + attempt if anchored else start[0]
            first_until = first_from + 1 if anchored else stop[0]
            first_us = times[first_from]
            for row in range(first_from, first_until):
                reached[row] = 1
            before = 0  # the last positive step
            before_from = first_from
            before_until = first_until
            alive = True
            # First events come in order of time, so what lies before this one is behind all later attempts, too.
            for s in range(steps):
                while start[s] < stop[s] and times[start[s]] < first_us and s > 0:
                    start[s] += 1
                nearest[s] = start[s]
            for s in range(1, steps):
                if negative[s] != 0:
                    continue
                # `nearest` are the first forbidden events at or after the row before; both only move forward.
                row_before = before_from
                last_allowed = np.int64(-(2**63))
                alive = False
                until = stop[s]
                for row in range(start[s], stop[s]):
                    at = times[row]
                    while row_before < before_until and times[row_before] < at:
                        if reached[row_before] != 0:
                            since = times[row_before]
                            limit = (first_us if from_first[s] != 0 else since) + within[s]
                            for n in range(before + 1, s):
                                place = nearest[n]
                                while place < stop[n] and times[place] < since:
                                    place += 1
                                nearest[n] = place
                                while place < stop[n] and ids[place] == ids[row_before]:
                                    place += 1
                                if place < stop[n]:
                                    end = (first_us if from_first[n] != 0 else since) + within[n]
                                    if times[place] < end:
                                        limit = min(limit, times[place])
                            last_allowed = max(last_allowed, limit)
                        row_before += 1
                    if last_allowed >= at:
                        reached[row] = 1
                        alive = True
                    else:
                        reached[row] = 0
                        if row_before == before_until:
                            until = row  # no later row can be reached either
                            break
                if not alive:
                    break
                before = s
                before_from = start[s]
                before_until = until
            if steps > 1 and not alive:
                continue
            for row in range(before_from, before_until):
                if reached[row] == 0:
                    continue
                free = True
                for n in range(before + 1, steps):
                    since = times[row]
                    place = nearest[n]
                    while place < stop[n] and times[place] < since:
                        place += 1
                    nearest[n] = place
                    while place < stop[n] and ids[place] == ids[row]:
                        place += 1
                    end = as_of_us
                    if within[n] != 2**62:
                        end = (first_us if from_first[n] != 0 else since) + within[n]
                    if end > as_of_us or (place < stop[n] and times[place] <= end):
                        free = False
                        break
                if free:
                    holds = True
                    break
            if holds:
                break
        if holds:
            found[count] = key
            count += 1
    return count


def plain_groups_with_sequence(
    offsets: Numbers,
    keys: Keys,
    times: Numbers,
    ids: Numbers,
    negative: Flags,
    within: Numbers,
    from_first: Flags,
    as_of_us: int,
    found: Keys,
) -> int:
    """groups_with_sequence by trying every assignment, for as few events as tests have."""
    steps = len(negative)
    positive = [s for s in range(steps) if not negative[s]]
    count = 0
    for key in sorted(set(keys[offsets[0] : offsets[1]].tolist())):
        events = [
            [(int(times[i]), int(ids[i])) for i in range(offsets[s], offsets[s + 1]) if keys[i] == key]
            for s in range(steps)
        ]

        def holds(chosen: list[tuple[int, int]], events: list[list[tuple[int, int]]] = events) -> bool:
            """Whether the events chosen for the first positive steps can be continued to the end."""
            here = positive[len(chosen) - 1]
            following = positive[len(chosen)] if len(chosen) < len(positive) else steps
            at, first = chosen[-1][0], chosen[0][0]

            def free(until: int | None) -> bool:
                """`until`: the instant of the next positive event; None: there is none."""
                for n in range(here + 1, following):
                    end = (first if from_first[n] else at) + int(within[n])
                    if until is None:
                        unlimited = int(within[n]) == NO_LIMIT
                        last = as_of_us if unlimited else end
                        if last > as_of_us:
                            return False
                    else:
                        last = min(end, until) - 1
                    if any(at <= time <= last and (time, number) not in chosen for time, number in events[n]):
                        return False
                return True

            if following == steps:
                return free(None)
            return any(
                holds([*chosen, (time, number)])
                for time, number in events[following]
                if at < time <= (first if from_first[following] else at) + int(within[following]) and free(time)
            )

        if any(holds([event]) for event in events[0]):
            found[count] = key
            count += 1
    return count
