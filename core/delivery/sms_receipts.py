"""What a provider of SMS tells about a message after it took it: the receipts of SMPP 3.4, appendix B.

| state | what follows |
|---|---|
| DELIVRD | the message is delivered |
| UNDELIV, EXPIRED, DELETED, REJECTD | it is not, for good |
| ENROUTE, ACCEPTD, UNKNOWN | nothing yet: another receipt follows, or none |

A failure says nothing about the number: codes of networks (`err`) mean something else at each provider.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

#: message_state of the optional parameter, by number.
_STATES = ("", "ENROUTE", "DELIVRD", "EXPIRED", "DELETED", "UNDELIV", "ACCEPTD", "UNKNOWN", "REJECTD")
_FAILED = frozenset({"UNDELIV", "EXPIRED", "DELETED", "REJECTD"})
#: As some providers spell them.
_SPELLED = {"DELIVERED": "DELIVRD", "UNDELIVERABLE": "UNDELIV", "REJECTED": "REJECTD", "ACCEPTED": "ACCEPTD"}
_ID = re.compile(r"(?:^|\s)id:\s*(\S{1,65})(?!\S)", re.IGNORECASE)
_STATE = re.compile(r"(?:^|\s)stat:\s*([A-Za-z]{1,20})", re.IGNORECASE)
_ERROR = re.compile(r"(?:^|\s)err:\s*(\w{1,10})", re.IGNORECASE)
#: What follows is the beginning of the message itself, where anything may stand.
_TEXT = re.compile(r"(?:^|\s)text:", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SmsReceipt:
    """`provider_id` is the provider's name of the message or of one part. `delivered` is None while nothing is final;
    `reason` is the state with the network's error code if there is one."""

    provider_id: str
    delivered: bool | None
    reason: str


def read_receipt(text: str, provider_id: str = "", state: int = 0) -> SmsReceipt | None:
    """The receipt in the text of a deliver_sm; the optional parameters receipted_message_id and message_state (empty
    and 0: not there) are believed before the text. None for what names no message or no state known."""
    head = text[: found.start()] if (found := _TEXT.search(text)) else text
    named = provider_id or _first(_ID, head)
    told = _STATES[state] if 0 < state < len(_STATES) else _first(_STATE, head).upper()
    told = _SPELLED.get(told, told)
    if not named or told not in _STATES[1:]:
        return None
    error = _first(_ERROR, head)
    reason = f"{told} err:{error}" if error.strip("0") else told
    return SmsReceipt(named, True if told == "DELIVRD" else False if told in _FAILED else None, reason)


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found[1] if found else ""
