"""Mail that tells what became of other mail: delivery reports (RFC 3464) and complaints (ARF, RFC 5965).

Such mail is written by strangers' servers, so nothing in it is believed but a token of ours that came back with the
headers of the original: whoever holds it got the message, or is the server that did.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from email.policy import compat32
from enum import StrEnum

from core.delivery.bounces import BounceClass, classify, status_in

#: Of the mails that we send: names the message to whoever reports about it (RFC 9477).
TOKEN_HEADER = "CFBL-Feedback-ID"
#: Longer reports are cut: what is needed stands at the beginning.
MAX_REPORT_BYTES = 256 << 10
MAX_PARTS = 50

_TOKEN = re.compile(r"[A-Za-z0-9_-]{24,1000}={0,2}")
_TOKEN_LINE = re.compile(rf"^{TOKEN_HEADER}:\s*([A-Za-z0-9_-]{{24,1000}}={{0,2}})\s*$", re.IGNORECASE | re.MULTILINE)
#: Of servers that report in prose: what stands before the words that matter.
_PROSE = re.compile(r"(?:\b[45]\d\d\b[ -].{0,300}|\b[45]\.\d{1,3}\.\d{1,3}\b.{0,300})", re.ASCII)


class Told(StrEnum):
    """What a report says."""

    BOUNCED = "bounced"
    COMPLAINED = "complained"
    DELAYED = "delayed"
    DELIVERED = "delivered"


@dataclass(frozen=True, slots=True)
class MailReport:
    """What a mail tells about one of ours. `bounce` is set for BOUNCED; `reason` is the server's words, at most 500
    characters; `token` is what stood in our header of the original, unverified (empty: it did not come back)."""

    told: Told
    token: str
    bounce: BounceClass | None = None
    status: str = ""
    reason: str = ""


def read_report(raw: bytes) -> MailReport | None:
    """The report in a mail as it was received; None for mail that is no report: an answer, an out-of-office note, or
    more parts than any report has."""
    raw = raw[:MAX_REPORT_BYTES]
    # Every part and every level says its type; the parser calls itself for each level.
    if raw.lower().count(b"content-type") > MAX_PARTS:
        return None
    mail = message_from_bytes(raw, policy=compat32)
    parts = [part for part, _ in zip(mail.walk(), range(MAX_PARTS), strict=False)]
    token = _token(parts, raw)
    for part in parts:
        if part.get_content_type() == "message/feedback-report":
            fields = _fields("\n".join(_blocks(part)))
            kind = fields.get("feedback-type", "abuse").lower()
            # "not-spam" takes a complaint back; we never assume a consent, so it says nothing.
            return None if kind == "not-spam" else MailReport(Told.COMPLAINED, token, reason=kind[:500])
    for part in parts:
        if part.get_content_type() == "message/delivery-status":
            return _of_status(part, parts, token)
    if _is_from_a_server(mail):
        return _of_prose(parts, token)
    return None


def _of_status(part: Message, parts: list[Message], token: str) -> MailReport | None:
    for text in _blocks(part):
        fields = _fields(text)
        action, status = fields.get("action", "").lower(), fields.get("status", "")
        diagnostic = fields.get("diagnostic-code", "").partition(";")[2].strip() or fields.get("diagnostic-code", "")
        if not action:
            continue
        reason = (diagnostic or status)[:500]
        if action == "failed":
            words = diagnostic or _prose(parts)
            return MailReport(Told.BOUNCED, token, classify(status, words), status_in(status), (words or status)[:500])
        if action == "delayed":
            return MailReport(Told.DELAYED, token, status=status_in(status), reason=reason)
        return MailReport(Told.DELIVERED, token, status=status_in(status), reason=reason)
    return None


def _of_prose(parts: list[Message], token: str) -> MailReport | None:
    words = _prose(parts)
    if not words:
        return None
    return MailReport(Told.BOUNCED, token, classify("", words), status_in(words), words[:500])


def _prose(parts: list[Message]) -> str:
    for part in parts:
        if part.get_content_type() == "text/plain":
            found = _PROSE.search(" ".join(_text(part).split()))
            if found:
                return found[0]
    return ""


def _is_from_a_server(mail: Message) -> bool:
    sender = str(mail.get("From", "")).lower()
    return str(mail.get("Return-Path", "")).strip() == "<>" or "mailer-daemon" in sender or "postmaster" in sender


def _token(parts: list[Message], raw: bytes) -> str:
    for part in parts:
        found = str(part.get(TOKEN_HEADER, "")).strip()
        if _TOKEN.fullmatch(found):
            return found
    # Headers of the original as text: in text/rfc822-headers, or quoted in prose.
    line = _TOKEN_LINE.search(raw.replace(b"\r\n", b"\n").decode("ascii", "replace"))
    return line[1] if line else ""


def _text(part: Message) -> str:
    payload = part.get_payload(decode=True)
    return payload.decode("utf-8", "replace") if isinstance(payload, bytes) else ""


def _blocks(part: Message) -> list[str]:
    """The blocks of fields of a report, which the parser takes for messages of their own."""
    blocks = part.get_payload()
    if not isinstance(blocks, list):
        return [_text(part)]
    found = [block for block in blocks if isinstance(block, Message)]
    return ["\n".join(f"{name}: {value}" for name, value in one.items()) or _text(one) for one in found]


def _fields(text: str) -> dict[str, str]:
    """Header-like lines; of a name the first counts, and folded lines belong together."""
    found: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if line[:1] in (" ", "\t") and name:
            found[name] += f" {line.strip()}"
            continue
        key, colon, value = line.partition(":")
        name = key.strip().lower() if colon else ""
        if name in found:
            name = ""
        elif name:
            found[name] = value.strip()
    return found
