"""The text of a computed attribute: `favourite_category = most frequent(product_viewed.category) in last 90 days`."""

from __future__ import annotations

from core.query.ast import Measure
from core.query.text.format_population import measure_text
from core.query.text.lexer import tokenize
from core.query.text.parse_cursor import Cursor
from core.query.text.parse_measures import take_measure


def parse_definition(text: str) -> tuple[str | None, Measure]:
    """The name, if the text begins with one and "=", and the measure. Raises what `parse` raises."""
    cursor = Cursor(tokenize(text))
    name = None
    if cursor.at_name() and cursor.is_word(1, "="):
        name = cursor.name("the name of an attribute")
        cursor.expect("=")
    measure = take_measure(cursor)
    if not cursor.at_end():
        raise cursor.fail("the attribute ends here.", 'Write "count = number of order_completed in last 365 days".')
    return name, measure


def definition_text(measure: Measure) -> str:
    """The canonical text of a measure, without a name."""
    return measure_text(measure)
