"""Our engine as the questions ask it: rules as text, read, bound and evaluated inside the clock. As in a process that
answers questions, a text of a known shape has its values put into the rule of an earlier one."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from core.errors import CdpError
from core.index.contact_set import ContactSet
from core.index.root import Root
from core.query.names import BoundRule, Names
from core.query.plan import members as members_of
from core.query.prepared import PreparedRules
from core.segments.vocabulary import names_of
from tests.bench.analytics import cohort_rows, counts_for_each, overlaps, rfm_cells
from tests.bench.engine import Answer, At, Constants, Money, NotMeasuredError

_NOT_BUILT = "RULE_UNSUPPORTED"


class Ours:
    """Questions on one root. `evaluate_s` is the part of the last call that was evaluation, without parse and bind."""

    def __init__(self, root: Root) -> None:
        self.root = root
        self.names: Names = names_of(root, {}, "UTC")
        self.saved: tuple[ContactSet, ...] = ()
        self.evaluate_s = 0.0
        self._prepared = PreparedRules()

    def save_segments(self, texts: Sequence[str], as_of_us: int) -> None:
        """Evaluate what stands saved; their numbers are 1, 2, 3 ..."""
        self.saved = tuple(self.members(text, {}, as_of_us).compact() for text in texts)

    def members(self, template: str, constants: Constants, as_of_us: int) -> ContactSet:
        """The members of a rule. Raises NotMeasuredError where the engine does not have the condition yet."""
        try:
            bound = self._bound(template, constants)
        except CdpError as error:
            if error.reason == _NOT_BUILT:
                raise NotMeasuredError(error.message) from error
            raise
        started_s = time.perf_counter()
        members = members_of(bound, self.root, as_of_us, {})
        # The peers count as well.
        len(members)
        self.evaluate_s = time.perf_counter() - started_s
        return members

    def count_for_each(
        self, template: str, constants: Constants, as_of_us: int, parameter: str, values: Sequence[str]
    ) -> Answer:
        """Rows (number of the value, members), those without members left out."""
        bound = self._bound(template, constants)
        started_s = time.perf_counter()
        counts = counts_for_each(bound, self.root, as_of_us, parameter, values)
        self.evaluate_s = time.perf_counter() - started_s
        return tuple((number, count) for number, count in enumerate(counts) if count)

    def rfm(self, constants: Constants, as_of_us: int) -> Answer:
        """Contacts by cell of the purchases in the window `buy`."""
        hours = constants["buy_h"]
        assert isinstance(hours, int)
        started_s = time.perf_counter()
        rows = tuple(sorted(rfm_cells(self.root, as_of_us, hours)))
        self.evaluate_s = time.perf_counter() - started_s
        return rows

    def cohorts(self, as_of_us: int) -> Answer:
        """Retention by month of the first purchase."""
        started_s = time.perf_counter()
        rows = tuple(sorted(cohort_rows(self.root, as_of_us)))
        self.evaluate_s = time.perf_counter() - started_s
        return rows

    def saved_combination(self, constants: Constants) -> Answer:
        """Count of (s1 or s2) and not s3 and s4."""
        started_s = time.perf_counter()
        first, second, third, fourth = (self._saved(constants, place) for place in (1, 2, 3, 4))
        count = len(((first | second) - third) & fourth)
        self.evaluate_s = time.perf_counter() - started_s
        return ((count,),)

    def saved_overlap(self) -> Answer:
        """Contacts that each two saved segments share."""
        started_s = time.perf_counter()
        rows = tuple(sorted(overlaps(self.saved, self.root.contact_count)))
        self.evaluate_s = time.perf_counter() - started_s
        return rows

    def _saved(self, constants: Constants, place: int) -> ContactSet:
        number = constants[f"s{place}"]
        assert isinstance(number, int)
        return self.saved[number - 1]

    def _bound(self, template: str, constants: Constants) -> BoundRule:
        return self._prepared.bound(_fill(template, constants), self.names)


def summary(members: ContactSet) -> Answer:
    """Count, sum and exclusive or of the members, as the peers give them."""
    numbers = members.numbers()
    exclusive = int(np.bitwise_xor.reduce(numbers)) if len(numbers) else 0
    return ((len(numbers), int(numbers.sum(dtype=np.int64)), exclusive),)


def _fill(template: str, constants: Constants) -> str:
    written: dict[str, str] = {}
    for name, value in constants.items():
        match value:
            case At():
                continue
            case str():
                written[name] = '"' + value + '"'
            case Money() | int():
                written[name] = str(value)
    return template.format(**written)
