"""The words of the language that parser and formatter share."""

from __future__ import annotations

from collections.abc import Mapping

from core.clock import DAY_US, HOUR_US, MINUTE_US, SECOND_US, WEEK_US
from core.query.ast import Compare, Function, MessageVerb, Period
from core.query.text.lexer import BARE_NAME

RELATIONS: Mapping[str, Compare] = {
    "=": Compare.EQ,
    "!=": Compare.NE,
    "<": Compare.LT,
    "<=": Compare.LE,
    ">": Compare.GT,
    ">=": Compare.GE,
}
UNITS_US: Mapping[str, int] = {
    **dict.fromkeys(("second", "seconds"), SECOND_US),
    **dict.fromkeys(("minute", "minutes"), MINUTE_US),
    **dict.fromkeys(("hour", "hours"), HOUR_US),
    **dict.fromkeys(("day", "days"), DAY_US),
    **dict.fromkeys(("week", "weeks"), WEEK_US),
}
#: No fixed length: refused with a hint.
CALENDAR_UNITS = frozenset(("month", "months", "quarter", "quarters", "year", "years"))
PERIODS: Mapping[str, Period] = {
    **{period.value: period for period in Period},
    **{f"{period.value}s": period for period in Period},
}
#: 1 is Monday.
WEEKDAYS: Mapping[str, int] = {
    word: day
    for day, word in enumerate(("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"), start=1)
}
FUNCTIONS: Mapping[str, Function] = {function.value: function for function in Function}
VERBS: Mapping[str, MessageVerb] = {verb.value: verb for verb in MessageVerb}
#: What stands between the verb and "message".
VERB_PREPOSITIONS: Mapping[MessageVerb, str] = {MessageVerb.UNSUBSCRIBED: "from", MessageVerb.COMPLAINED: "about"}
#: Lists whose single element has its own English word: `any child (...)` looks into "children".
ELEMENT_WORDS: Mapping[str, str] = {"child": "children", "item": "items"}

#: Words behind a name that compare it, so that "last within ..." speaks of an attribute and "last order ..." of events.
COMPARING = frozenset(
    ("above", "below", "equal", "within", "changed", "exactly", "on", "today", "yesterday", "tomorrow")
)

_NEVER_BARE = (
    "and or not include exclude everyone at among in any did never attribute true false between is has contains "
    "does starts ends matches ignoring for with where from until through since this more"
)
_SOMETIMES_BARE = (
    "all every no was of last next first length sequence stopped restarted rfm cohort random most median percentile "
    "fewer less times rising falling message limit the product now than "
    "reachable then had time missing present anything"
)
#: Words that a bare name may never be.
RESERVED = frozenset(_NEVER_BARE.split())
#: With those that begin a phrase in some places: bare names where nothing else can be meant, and quoted by the
#: formatter everywhere.
_QUOTED = RESERVED.union(_SOMETIMES_BARE.split()) | COMPARING | FUNCTIONS.keys() | VERBS.keys()


def is_bare(name: str, *, alone: bool = False) -> bool:
    """Whether `name` is written without quotes in canonical text; `alone`: nothing but a name can stand there."""
    return BARE_NAME.fullmatch(name) is not None and name.lower() not in (RESERVED if alone else _QUOTED)
