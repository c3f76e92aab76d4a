"""The questions of `make bench` on a small workload: our engine, DuckDB and ClickHouse give one answer.

A second opinion from engines that share no line with ours. Instants are whole hours apart, so windows end exactly on
events, and instants of one contact fall together; prices and averages are exact on all sides.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from rich.progress import Progress

from core.index.index import Index
from tests.bench.compare import OURS, constants_of, fastest_form, forms_of, measure
from tests.bench.engine import Peer
from tests.bench.ours import Ours
from tests.bench.ours_load import event_columns, load_contacts
from tests.bench.peers import load_peers, make_peers
from tests.bench.questions.all import QUESTIONS
from tests.bench.questions.question import Question
from tests.bench.questions.saved_segments import SAVED
from tests.bench.workload import DAYS, END_US, START_US, Workload

_HOUR_US = 3_600_000_000
_WORKLOAD = Workload(contacts=500, events=20_000, seed=20_261_122, grain_us=_HOUR_US)

pytestmark = pytest.mark.slow


@dataclass(frozen=True, slots=True)
class Engines:
    """Ours and the peers, loaded."""

    ours: Ours
    peers: tuple[Peer, ...]


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    peers, missing = make_peers(tmp_path_factory.mktemp("peers"))
    if missing:
        pytest.skip(f"the second opinion is left out: no package here for {', '.join(missing)}")
    index = Index()
    load_contacts(index, _WORKLOAD.draw_contacts(), lambda n: None)
    for batch in _WORKLOAD.draw_events():
        for first in range(0, len(batch), 7_001):
            index.apply(event_columns(batch.part(first, first + 7_001)), (), index.position + 1)
            index.root()
    load_peers(peers, _WORKLOAD, Progress(disable=True))
    ours = Ours(index.root())
    ours.save_segments(SAVED, END_US)
    for peer in peers:
        peer.save_segments([members.numbers() for members in ours.saved])
    yield Engines(ours, peers)
    for peer in peers:
        peer.close()


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.name)
def test_one_answer_from_three_engines(engines: Engines, question: Question) -> None:
    print(f"seed {_WORKLOAD.seed}")
    generator = np.random.default_rng([_WORKLOAD.seed, 300])
    hours = [*generator.integers(30 * 24, DAYS * 24, 4).tolist(), DAYS * 24, DAYS * 24 + 5]
    instants = [START_US + hour * _HOUR_US for hour in hours]
    for peer in engines.peers:
        if forms_of(peer, question):
            # Raises where two formulations of one peer differ.
            fastest_form(peer, question, [constants_of(question, generator, at_us) for at_us in instants[::5]])
    figures = measure(question, engines.ours, engines.peers, _WORKLOAD, instants)
    assert any(peer.name in figures.first for peer in engines.peers)
    assert OURS not in figures.missing, figures.missing[OURS]
    assert len(figures.first[OURS]) == len(hours)
