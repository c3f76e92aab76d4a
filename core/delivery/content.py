"""The same content once per person within a window, whichever channel. A message that was refused does not count."""

from __future__ import annotations

from collections.abc import Sequence

from core.clock import DAY_US
from core.delivery.ledger import Counted

CONTENT_WINDOW_US = 30 * DAY_US


def has_had(sent: Sequence[Counted], content: int, own: int, window_us: int, now_us: int) -> bool:
    """Whether another message than `own` brought `content` (0: none, never had) less than `window_us` ago."""
    return content != 0 and any(
        one.content == content and one.sequence != own and one.at_us > now_us - window_us for one in sent
    )
