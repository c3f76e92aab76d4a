"""What a rule may be at most. Every limit is named in the error that it raises."""

from __future__ import annotations

from core.clock import DAY_US

#: Characters of a rule's text.
MAX_TEXT = 1_000_000
#: Nodes of a rule, those of its filters included.
MAX_NODES = 10_000
#: Branches between the root and a leaf of a rule, or of a filter.
MAX_DEPTH = 500
#: Values of one comparison, names of one selection, arguments of one reference.
MAX_OPERANDS = 10_000
#: Characters of one text or name.
MAX_STRING = 10_000
#: Characters of one regular expression, and the memory RE2 may use for it.
MAX_PATTERN = 1_000
MAX_PATTERN_BYTES = 1 << 20
#: Steps of one sequence.
MAX_STEPS = 10
#: Segments that one rule may reach through references.
MAX_SEGMENTS = 1_000
#: The longest duration: a hundred years.
MAX_DURATION_DAYS = 36_525
MAX_DURATION_US = MAX_DURATION_DAYS * DAY_US
