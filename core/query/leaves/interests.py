"""Interest: what a contact's events say of each text, fading with the days.

The arithmetic is defined in whole numbers, so that every evaluator has the same score at every instant. A day is one of
UTC. An event of day e adds `weight * fading(day - e)` to each value that it holds, where day is that of as_of and

    fading(k) = floor(2**24 * 2**(-k / half_life_days)), for k >= 0.

The score is the sum over 2**24, cut (not rounded) to units of 1e-4: a decimal dated by the beginning of the day of
as_of in UTC. It changes when an event comes and when a day of UTC begins, at no other instant. The top value is the one
of the largest sum; of equal ones the smallest text.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, localcontext
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from core.clock import DAY_US
from core.kernels.ranges import first_of_groups, sorted_unique
from core.query.ast import Interest, Literal
from core.query.execute_context import Context
from core.query.interest_model import InterestModel
from core.query.rows.domain import ITEMS, Operand
from core.query.rows.picked import Picked
from core.query.rows.selecting import pick
from core.query.rows.texts import composed
from core.schema import DECIMAL_SCALE, Kind

#: One in a sum, as a power of 2; a weight has vanished after so many half-lives.
ONE_BITS = 24
_LOW = np.int64(2**ONE_BITS - 1)
_HIGH = np.uint64(32)
_TEXTS = (Kind.TEXT, Kind.TEXT_LIST)
#: More than the digits of any power, so that the floor of one is certain.
_DIGITS = 60


@dataclass(frozen=True, slots=True)
class Scores:
    """Sums above 0: `contacts` (uint32) ascending, of each by `codes` (uint32, of the dictionary) ascending, `sums`
    (int64, of 2**-24)."""

    contacts: NDArray[np.uint32]
    codes: NDArray[np.uint32]
    sums: NDArray[np.int64]

    def units(self) -> NDArray[np.int64]:
        """The scores in units of 1e-4."""
        whole = (self.sums >> ONE_BITS) * DECIMAL_SCALE
        return whole + (((self.sums & _LOW) * DECIMAL_SCALE) >> ONE_BITS)


@lru_cache(maxsize=256)
def fading(half_life_days: int) -> NDArray[np.int64]:
    """What is left of 1 after each number of days, of 2**-24; 0 from the length of the array on. Not to be written."""
    left = np.zeros(ONE_BITS * half_life_days + 1, np.int64)
    with localcontext(prec=_DIGITS):
        for rest in range(half_life_days):
            # The powers of one rest of days are halves of one another; only the first has a root in it.
            root = Decimal(2) ** (ONE_BITS - Decimal(rest) / half_life_days) if rest else Decimal(2**ONE_BITS)
            for halves, day in enumerate(range(rest, len(left), half_life_days)):
                left[day] = int(root / 2**halves)
    left.flags.writeable = False
    return left


def scores(model: InterestModel, context: Context) -> Scores:
    """All scores above 0 as of as_of; computed once per context."""
    found: Scores | None = context.computed.get(("interest", model))
    if found is None:
        found = context.computed["interest", model] = _scores(model, context, None)
    return found


def scores_of(interest: Interest, context: Context) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """The contacts, ascending, whose score of the value is at least 0.0001, and the scores in units."""
    assert interest.of is not None and isinstance(interest.value, Literal), "binding names the model, filling the value"
    code = context.root.dictionary.code(composed(str(interest.value.value)))
    if code is None:
        return np.zeros(0, np.uint32), np.zeros(0, np.int64)
    known: Scores | None = context.computed.get(("interest", interest.of))
    if known is None:
        known = _scores(interest.of, context, code)
    units = known.units()
    held = (known.codes == code) & (units > 0)
    return known.contacts[held], units[held]


def top_values(interest: Interest, context: Context) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """The contacts, ascending, that have any score of at least 0.0001, and the text (its code) of the largest."""
    assert interest.of is not None, "binding names the model"
    found = scores(interest.of, context)
    if len(found.sums) == 0:
        return found.contacts, found.codes
    starts = first_of_groups(found.contacts)
    sizes = np.diff(np.append(starts, len(found.contacts)))
    best = np.flatnonzero(found.sums == np.repeat(np.maximum.reduceat(found.sums, starts), sizes))
    best = best[found.units()[best] > 0]
    # Few are as large as another one of the contact, so it costs little to order those that are left.
    best = best[np.lexsort((text_ranks(found.codes[best], context), found.contacts[best]))]
    chosen = best[first_of_groups(found.contacts[best])]
    return found.contacts[chosen], found.codes[chosen]


def text_ranks(codes: NDArray[np.uint32], context: Context) -> NDArray[np.int64]:
    """Numbers in the order of the texts by their UTF-8 bytes."""
    distinct, places = np.unique(codes, return_inverse=True)
    texts = [context.root.dictionary.text(code).encode() for code in distinct.tolist()]
    ranks = np.empty(len(texts), np.int64)
    ranks[sorted(range(len(texts)), key=texts.__getitem__)] = np.arange(len(texts))
    return ranks[places]


def _scores(model: InterestModel, context: Context, only: int | None) -> Scores:
    """`only`: the code of the one text that is asked about; None: all."""
    left = fading(model.half_life_days)
    weight_of = dict(zip(model.events.names, model.weights, strict=True))
    today = context.as_of_us // DAY_US
    pairs, amounts = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    for picked in pick(model.events, context):
        events, codes = _held(model.parameter, picked)
        if only is not None:
            kept = codes == only
            events, codes = events[kept], codes[kept]
        times = picked.run.occurred_at_us[picked.row_numbers()[events]]
        ages = today - times // DAY_US
        recent = ages < len(left)
        events, codes, ages = events[recent], codes[recent], ages[recent]
        pairs.append((picked.contacts[events].astype(np.uint64) << _HIGH) | codes.astype(np.uint64))
        amounts.append(left[ages] * weight_of[picked.type_name])
    joined, values = np.concatenate(pairs), np.concatenate(amounts)
    if len(joined) == 0:
        return Scores(np.zeros(0, np.uint32), np.zeros(0, np.uint32), values)
    order = np.argsort(joined)
    joined = joined[order]
    firsts = first_of_groups(joined)
    distinct, sums = joined[firsts], np.add.reduceat(values[order], firsts)
    held = sums > 0
    distinct = distinct[held]
    return Scores((distinct >> _HIGH).astype(np.uint32), distinct.astype(np.uint32), sums[held])


def _held(parameter: str, picked: Picked) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """The texts that each event holds: places among the picked ones, and codes, each pair once."""
    domain = picked.domain()
    own = _texts(domain.operands(parameter), None)
    without = np.ones(len(picked), np.bool_)
    without[own[0]] = False
    lines, parents = domain.elements(ITEMS)
    of_lines = _texts(lines.operands(parameter), parents)
    used = without[of_lines[0]]
    events = np.concatenate((own[0], of_lines[0][used])).astype(np.uint64)
    codes = np.concatenate((own[1], of_lines[1][used])).astype(np.uint64)
    once = sorted_unique((events << _HIGH) | codes)
    return (once >> _HIGH).astype(np.int64), once.astype(np.uint32)


def _texts(
    operands: tuple[Operand, ...], parents: NDArray[np.int64] | None
) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """Rows (or what they belong to) and codes of the operands that are texts."""
    rows, codes = [np.zeros(0, np.int64)], [np.zeros(0, np.uint32)]
    for operand in operands:
        if operand.kind not in _TEXTS:
            continue
        held = np.arange(len(operand)) if operand.rows is None else operand.rows.astype(np.int64)
        rows.append(held if parents is None else parents[held])
        codes.append(operand.values.astype(np.uint32))
    return np.concatenate(rows), np.concatenate(codes)
