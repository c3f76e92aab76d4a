"""The questions in their order."""

from __future__ import annotations

from tests.bench.questions import (
    q01_silent,
    q02_viewed_not_bought,
    q03_good_buyers,
    q04_price_range,
    q05_each_category,
    q06_rfm,
    q07_cohorts,
    q08_spent,
    q09_abandoned,
    q10_three_attributes,
    q11_saved,
    q12_overlap,
)
from tests.bench.questions.question import Question

QUESTIONS: tuple[Question, ...] = (
    q01_silent.QUESTION,
    q02_viewed_not_bought.QUESTION,
    q03_good_buyers.QUESTION,
    q04_price_range.QUESTION,
    q05_each_category.QUESTION,
    q06_rfm.QUESTION,
    q07_cohorts.QUESTION,
    q08_spent.QUESTION,
    q09_abandoned.QUESTION,
    q10_three_attributes.QUESTION,
    q11_saved.QUESTION,
    q12_overlap.QUESTION,
)
