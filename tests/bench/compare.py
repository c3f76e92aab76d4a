"""The questions asked of every engine in turn, answers compared, medians kept.

Every repetition draws its own instant and constants. The first evaluation of them counts; the same asked again stands
beside it. Engines take turns in going first. A difference between two answers ends the run.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from tests.bench.engine import Answer, At, Constants, Form, NotMeasuredError, Peer
from tests.bench.ours import Ours, summary
from tests.bench.questions.question import Draw, Question
from tests.bench.workload import DAY_US, END_US, Workload

OURS = "ours"
_HOUR_US = 3_600_000_000


class AnswersDifferError(AssertionError):
    """Two engines disagree; the message names the question, the constants and both answers."""


@dataclass(slots=True)
class Figures:
    """Milliseconds of each repetition, by engine: `first` evaluations and the same `again`. `evaluate`: ours without
    parsing and binding. `forms`: the formulation that each peer was asked in. `floor_ms`: the bytes that any plan must
    touch at the memory bandwidth measured. `missing`: why an engine was not measured."""

    title: str
    in_mean: bool
    first: dict[str, list[float]] = field(default_factory=dict)
    again: dict[str, list[float]] = field(default_factory=dict)
    evaluate: list[float] = field(default_factory=list)
    forms: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    touched_bytes: int = 0

    def median_ms(self, engine: str) -> float | None:
        """The median of first evaluations; None where it was not measured."""
        times = self.first.get(engine)
        return statistics.median(times) if times else None

    def ratio(self, peers: Sequence[str]) -> float | None:
        """How many times slower the faster peer was; None where either side was not measured."""
        ours = self.median_ms(OURS)
        theirs = [ms for ms in map(self.median_ms, peers) if ms is not None]
        return min(theirs) / ours if ours and theirs else None


def draw_instants(seed: int, question: Question, n: int) -> list[int]:
    """Every third instant has events after it, up to three days of them; the others come after all events."""
    generator = np.random.default_rng([seed, 99, int(question.name[1:])])
    return [
        END_US - int(generator.integers(_HOUR_US, 3 * DAY_US))
        if repetition % 3 == 2
        else END_US + int(generator.integers(1, 6 * _HOUR_US))
        for repetition in range(n)
    ]


def constants_of(question: Question, generator: np.random.Generator, as_of_us: int) -> Constants:
    """The constants of one repetition, the instant among them."""
    return {**question.draw(Draw(generator, as_of_us)), "as_of": At(as_of_us), "as_of_us": as_of_us}


def fastest_form(peer: Peer, question: Question, constants: Sequence[Constants]) -> tuple[str, Form]:
    """The formulation that `peer` answers quickest, each tried on all of `constants`. Their answers must agree."""
    times: dict[str, float] = {}
    answers: dict[str, list[Answer]] = {}
    for name, form in forms_of(peer, question).items():
        taken = []
        answers[name] = []
        for one in constants:
            started_s = time.perf_counter()
            answers[name].append(timed_call(peer, question, form, one))
            taken.append(time.perf_counter() - started_s)
        times[name] = min(taken)
    first = next(iter(answers))
    for name, found in answers.items():
        if found != answers[first]:
            raise AnswersDifferError(f"{question.name}: {peer.name} {first!r}: {answers[first]}, {name!r}: {found}")
    best = min(times, key=lambda name: times[name])
    return best, forms_of(peer, question)[best]


def forms_of(peer: Peer, question: Question) -> Mapping[str, Form]:
    """How this peer may be asked; none for a question that it is not asked."""
    return question.duckdb if peer.name == "DuckDB" else question.clickhouse


def timed_call(peer: Peer, question: Question, form: Form, constants: Constants) -> Answer:
    """What is measured of a peer: the number of members, or the rows."""
    return peer.count(form, constants) if question.is_set else peer.run(form.sql, constants)


def measure(
    question: Question, ours: Ours, peers: Sequence[Peer], workload: Workload, instants: Sequence[int]
) -> Figures:
    """One question, once as of each of `instants`. Raises AnswersDifferError."""
    figures = Figures(question.title, question.in_mean)
    generator = np.random.default_rng([workload.seed, 100, int(question.name[1:])])
    warm = [constants_of(question, generator, END_US + _HOUR_US) for _ in range(2)]
    forms: dict[str, Form] = {}
    for peer in peers:
        if forms_of(peer, question):
            figures.forms[peer.name], forms[peer.name] = fastest_form(peer, question, warm)
        else:
            figures.missing[peer.name] = "not asked"
    try:
        for one in warm:
            answer_of_ours(question, ours, one, END_US + _HOUR_US)
    except NotMeasuredError as error:
        figures.missing[OURS] = str(error)
    figures.touched_bytes = question.touched(workload, warm[0])
    asked = [peer for peer in peers if peer.name in forms]
    for repetition, as_of_us in enumerate(instants):
        _repetition(question, ours, asked, forms, constants_of(question, generator, as_of_us), figures, repetition)
    return figures


def _repetition(
    question: Question,
    ours: Ours,
    peers: Sequence[Peer],
    forms: Mapping[str, Form],
    constants: Constants,
    figures: Figures,
    repetition: int,
) -> None:
    as_of_us = constants["as_of_us"]
    assert isinstance(as_of_us, int)
    answers: dict[str, Answer] = {}

    def ask_ours() -> None:
        if OURS in figures.missing:
            return
        ms, answers[OURS] = _timed(lambda: answer_of_ours(question, ours, constants, as_of_us))
        figures.first.setdefault(OURS, []).append(ms)
        figures.evaluate.append(ours.evaluate_s * 1e3)
        again_ms, _ = _timed(lambda: answer_of_ours(question, ours, constants, as_of_us))
        figures.again.setdefault(OURS, []).append(again_ms)

    def ask(peer: Peer) -> None:
        form = forms[peer.name]
        for kept in (figures.first, figures.again):
            ms, answers[peer.name] = _timed(lambda: timed_call(peer, question, form, constants))
            kept.setdefault(peer.name, []).append(ms)

    turns: list[Callable[[], None]] = [ask_ours, *(partial(ask, peer) for peer in peers)]
    gc.collect()
    shift = repetition % len(turns)
    for turn in (*turns[shift:], *turns[:shift]):
        turn()
    if question.is_set:
        for peer in peers:
            counted, answers[peer.name] = answers[peer.name], peer.members(forms[peer.name], constants)
            if counted[0][0] != answers[peer.name][0][0]:
                raise AnswersDifferError(f"{question.name}: {peer.name} counts {counted}, lists {answers[peer.name]}")
        if OURS in answers:
            assert isinstance(question.ours, str)
            answers[OURS] = summary(ours.members(question.ours, constants, as_of_us))
    check_equal(question, constants, answers)


def answer_of_ours(question: Question, ours: Ours, constants: Constants, as_of_us: int) -> Answer:
    """What is measured of us: the number of members, or the rows."""
    if isinstance(question.ours, str):
        return ((len(ours.members(question.ours, constants, as_of_us)),),)
    return question.ours(ours, constants, as_of_us)


def check_equal(question: Question, constants: Constants, answers: Mapping[str, Answer]) -> None:
    """Raises AnswersDifferError unless all engines gave one answer."""
    if len(set(answers.values())) <= 1:
        return
    lines = [f"{question.name} ({question.title}): answers differ for {dict(constants)}"]
    common = set.intersection(*(set(rows) for rows in answers.values()))
    for name, rows in answers.items():
        own = [row for row in rows if row not in common]
        lines.append(f"  {name}: {len(rows)} rows, of them its own: {own[:8]}")
    raise AnswersDifferError("\n".join(lines))


def _timed(call: Callable[[], Answer]) -> tuple[float, Answer]:
    started_s = time.perf_counter()
    answer = call()
    return (time.perf_counter() - started_s) * 1e3, answer
