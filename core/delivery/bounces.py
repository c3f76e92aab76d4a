"""Why a message came back: one table of RFC 3463 status codes and of what mail servers write.

| class | meaning | what follows |
|---|---|---|
| hard | there is no such mailbox or domain, for good | the address gets nothing any more (consent `bounced`) |
| full | the mailbox takes no more for now | nothing; it counts as not received |
| block | the receiver refuses us or the content: reputation, policy, authentication | nothing; it is about the sender |
| soft | anything that may pass: greylisting, time-outs, a server that is down | nothing |

The text is looked at first where a server's words are clearer than its code: many answer 5.0.0 or 5.7.1 to everything.
A code that is in no row counts by its first digit: 5 with a named mailbox problem is hard, the rest is soft.
"""

from __future__ import annotations

import re
from enum import StrEnum


class BounceClass(StrEnum):
    """The values are those of the parameter `bounce` of message_bounced."""

    HARD = "hard"
    SOFT = "soft"
    BLOCK = "block"
    FULL = "full"


#: Class -> what servers write, lower case, the first row that fits. A full mailbox and a block are told before a
#: missing mailbox, because "mailbox unavailable" stands in all three.
TEXTS: tuple[tuple[BounceClass, tuple[str, ...]], ...] = (
    (
        BounceClass.FULL,
        (
            *("mailbox full", "mailbox is full", "mailbox has exceeded", "over quota", "overquota", "quota exceeded"),
            *("exceeded storage allocation", "insufficient system storage", "out of storage space", "inbox is full"),
        ),
    ),
    (
        BounceClass.BLOCK,
        (
            *("spam", "blacklist", "blocklist", "blocked", "dnsbl", "spamhaus", "barracudacentral", "poor reputation"),
            *(
                "low reputation",
                "unsolicited",
                "policy violation",
                "dmarc",
                "spf check",
                "dkim",
                "sender verify failed",
            ),
            *("not rfc 5322 compliant", "message content rejected", "listed at", "access denied", "virus"),
        ),
    ),
    (
        BounceClass.HARD,
        (
            *("user unknown", "unknown user", "no such user", "user not found", "does not exist", "doesn't exist"),
            *("no mailbox here", "no such mailbox", "invalid recipient", "recipient not found", "unknown recipient"),
            *("address rejected", "account has been disabled", "account is disabled", "mailbox disabled"),
            *("mailbox not found", "unrouteable address", "host or domain name not found", "domain not found"),
            *("no longer in use", "recipientnotfound", "bad destination mailbox"),
        ),
    ),
    (
        BounceClass.SOFT,
        (
            *("greylist", "graylist", "try again later", "try later", "temporarily", "timed out", "timeout"),
            *("connection refused", "too many connections", "rate limit", "deferred", "delivery time expired"),
        ),
    ),
)

#: RFC 3463 code (class.subject.detail, "x" any class) -> class.
CODES: dict[str, BounceClass] = {
    "5.1.0": BounceClass.HARD,  # address status
    "5.1.1": BounceClass.HARD,  # bad destination mailbox
    "5.1.2": BounceClass.HARD,  # bad destination system
    "5.1.3": BounceClass.HARD,  # bad syntax
    "5.1.6": BounceClass.HARD,  # has moved
    "5.1.10": BounceClass.HARD,  # null MX
    "5.2.0": BounceClass.HARD,  # mailbox status
    "5.2.1": BounceClass.HARD,  # mailbox disabled
    "5.4.1": BounceClass.HARD,  # no answer from host, as Microsoft says of a missing recipient
    "5.4.4": BounceClass.HARD,  # unable to route
    "x.2.2": BounceClass.FULL,
    "x.3.4": BounceClass.BLOCK,  # message too big for the system
    "5.6.0": BounceClass.BLOCK,
    "x.7.0": BounceClass.BLOCK,
    "x.7.1": BounceClass.BLOCK,
    "5.7": BounceClass.BLOCK,  # and every other 5.7.n
}

_STATUS = re.compile(r"\b([245])\.(\d{1,3})\.(\d{1,3})\b", re.ASCII)
_REPLY = re.compile(r"\b([45])\d\d\b", re.ASCII)


def status_in(text: str) -> str:
    """The first RFC 3463 status code in `text`; empty if there is none."""
    found = _STATUS.search(text)
    return found[0] if found else ""


def classify(status: str, text: str) -> BounceClass:
    """The class of a failure with this status code (empty: none was given) and the server's words."""
    code = status_in(status) or status_in(text)
    lower = text.lower()
    for kind, fragments in TEXTS:
        if any(fragment in lower for fragment in fragments):
            # "Temporarily" beside a permanent code does not make a mailbox exist, nor 4.x.x an unknown user for good.
            if kind is BounceClass.HARD and code.startswith("4"):
                return BounceClass.SOFT
            if kind is BounceClass.SOFT and CODES.get(code) is BounceClass.HARD:
                return BounceClass.HARD
            return kind
    for key in (code, f"x{code[1:]}", code.rpartition(".")[0]):
        if key in CODES:
            return CODES[key]
    return BounceClass.SOFT


def is_permanent(status: str, text: str) -> bool:
    """Whether the code, or the SMTP reply in `text`, says that trying again is of no use."""
    code = status_in(status) or status_in(text)
    if code:
        return code.startswith("5")
    reply = _REPLY.search(text)
    return reply is not None and reply[1] == "5"
