"""What is computed of single contacts: attributes, and what they are most interested in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from core.clock import DAY_US
from core.events.raw import scalar_of
from core.kernels.ranges import sorted_unique
from core.query.ast import Measure
from core.query.execute_context import Context
from core.query.interest_model import InterestModel
from core.query.leaves.interests import scores, text_ranks
from core.query.leaves.measured_values import measured_values
from core.schema import Kind, Scalar


@dataclass(frozen=True, slots=True)
class Scored:
    """A value and its score in units of 1e-4, above 0."""

    value: str
    units: int


def attributes_of(
    measures: Mapping[str, Measure], contacts: Sequence[int], everyone: Context
) -> list[dict[str, Scalar]]:
    """For each of `contacts` (any order, repeated ones too) its bound `measures` by name, as of the context's instant;
    what is missing is left out. Sums may be past the range of their kind: integers and DecimalUnits of any size."""
    asked = _among(contacts, everyone)
    found: list[dict[str, Scalar]] = [{} for _ in range(asked.rows)]
    for name, measure in measures.items():
        valid = measured_values(measure, asked)
        for row, (kind, raw) in enumerate(zip(valid.kinds.tolist(), valid.values.tolist(), strict=True)):
            if kind:
                found[row][name] = _scalar(Kind(kind), int(raw), asked)
    return [found[row] for row in _rows(contacts, asked)]


def interests_of(
    model: InterestModel, contacts: Sequence[int], everyone: Context, most: int
) -> list[tuple[Scored, ...]]:
    """For each of `contacts` its `most` highest scores, the highest first, equal sums by the text's UTF-8 bytes. The
    scores are those of `dated_us`."""
    asked = _among(contacts, everyone)
    found = scores(model, asked)
    order = np.lexsort((text_ranks(found.codes, asked), -found.sums, found.contacts))
    units, dictionary = found.units(), asked.root.dictionary
    best: dict[int, list[Scored]] = {}
    for place in order.tolist():
        of_contact = best.setdefault(int(found.contacts[place]), [])
        if len(of_contact) < most and units[place] > 0:
            of_contact.append(Scored(dictionary.text(int(found.codes[place])), int(units[place])))
    return [tuple(best.get(contact, ())) for contact in contacts]


def dated_us(as_of_us: int) -> int:
    """The instant of which the scores as of `as_of_us` are: the beginning of its day of UTC."""
    return as_of_us // DAY_US * DAY_US


def _among(contacts: Sequence[int], everyone: Context) -> Context:
    asked = sorted_unique(np.array(contacts, np.uint32))
    return Context(*(everyone.root, everyone.as_of_us, everyone.zone_name, asked, everyone.setting, everyone.knowledge))


def _rows(contacts: Sequence[int], asked: Context) -> list[int]:
    rows: list[int] = asked.row_of(np.array(contacts, np.uint32)).tolist()
    return rows


def _scalar(kind: Kind, raw: int, asked: Context) -> Scalar:
    if kind is Kind.TEXT:
        return asked.root.dictionary.text(raw)
    return scalar_of(kind, raw)
