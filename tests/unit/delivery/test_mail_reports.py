"""Bounces and complaints as mail servers write them."""

from __future__ import annotations

import pytest

from core.delivery.bounces import BounceClass, classify, is_permanent
from core.delivery.mail_reports import MailReport, Told, read_report

TOKEN = "QmFzZTY0dXJsLXRva2VuLW9mLW91cnM"

POSTFIX = f"""Return-Path: <>
From: MAILER-DAEMON@mx.shop.example (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
To: bounces@shop.example
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="B1"

--B1
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii

This is the mail system at host mx.shop.example.

<ann@shop.test>: host mx.test[192.0.2.1] said: 550 5.1.1 <ann@shop.test>:
    Recipient address rejected: User unknown in virtual mailbox table

--B1
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.shop.example
X-Postfix-Queue-ID: 4A1B2C
Arrival-Date: Sun, 22 Nov 2026 10:00:00 +0000 (UTC)

Final-Recipient: rfc822; ann@shop.test
Original-Recipient: rfc822;ann@shop.test
Action: failed
Status: 5.1.1
Remote-MTA: dns; mx.test
Diagnostic-Code: smtp; 550 5.1.1 <ann@shop.test>: Recipient address rejected:
    User unknown in virtual mailbox table

--B1
Content-Description: Undelivered Message Headers
Content-Type: text/rfc822-headers

From: Shop <shop@shop.example>
To: ann@shop.test
CFBL-Feedback-ID: {TOKEN}
Subject: Tea

--B1--
"""

MICROSOFT = (
    POSTFIX.replace("5.1.1 <ann@shop.test>: Recipient address rejected:", "5.7.1 Access denied, banned sender")
    .replace(
        "User unknown in virtual mailbox table", "[AM6EUR05FT044] S3150: part of their network is on our block list"
    )
    .replace("Status: 5.1.1", "Status: 5.7.1")
)

EXIM = f"""Return-path: <>
From: Mail Delivery System <Mailer-Daemon@relay.example>
To: bounces@shop.example
Subject: Mail delivery failed: returning message to sender
Content-Type: text/plain

This message was created automatically by mail delivery software.

  bob@shop.test
    host mx.test [192.0.2.7]
    SMTP error from remote mail server after RCPT TO:<bob@shop.test>:
    552 5.2.2 The email account that you tried to reach is over quota

------ This is a copy of the message's headers. ------

From: Shop <shop@shop.example>
CFBL-Feedback-ID: {TOKEN}
Subject: Tea
"""

DELAYED = POSTFIX.replace("Action: failed", "Action: delayed").replace("5.1.1", "4.4.1")

COMPLAINT = f"""From: <abusedesk@provider.test>
To: <fbl@shop.example>
Subject: FW: Tea
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="part1"

--part1
Content-Type: text/plain; charset="US-ASCII"

This is an email abuse report for an email message received from IP 192.0.2.1.

--part1
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: SomeGenerator/1.0
Version: 1
Original-Mail-From: <shop@shop.example>
Source-IP: 192.0.2.1

--part1
Content-Type: message/rfc822
Content-Disposition: inline

From: Shop <shop@shop.example>
To: <ann@shop.test>
CFBL-Feedback-ID: {TOKEN}
Subject: Tea
MIME-Version: 1.0
Content-Type: text/plain

Tea today.

--part1--
"""

AWAY = f"""From: Ann <ann@shop.test>
To: shop@shop.example
Subject: Automatic reply: Tea
Auto-Submitted: auto-replied
CFBL-Feedback-ID: {TOKEN}
Content-Type: text/plain

I am away until the 550th of May.
"""


def read(text: str) -> MailReport | None:
    return read_report(text.replace("\n", "\r\n").encode())


@pytest.mark.parametrize(
    ("mail", "told", "bounce", "status"),
    [
        (POSTFIX, Told.BOUNCED, BounceClass.HARD, "5.1.1"),
        (MICROSOFT, Told.BOUNCED, BounceClass.BLOCK, "5.7.1"),
        (EXIM, Told.BOUNCED, BounceClass.FULL, "5.2.2"),
        (DELAYED, Told.DELAYED, None, "4.4.1"),
        (COMPLAINT, Told.COMPLAINED, None, ""),
    ],
)
def test_reports_of_mail_servers(mail: str, told: Told, bounce: BounceClass | None, status: str) -> None:
    report = read(mail)
    assert report is not None
    assert (report.told, report.bounce, report.status, report.token) == (told, bounce, status, TOKEN)


def test_folded_words_are_kept_whole() -> None:
    report = read(POSTFIX)
    assert report is not None
    assert report.reason.endswith("Recipient address rejected: User unknown in virtual mailbox table")


def test_what_is_no_report() -> None:
    assert read(AWAY) is None
    assert read(COMPLAINT.replace("Feedback-Type: abuse", "Feedback-Type: not-spam")) is None
    assert read_report(b"") is None
    assert read_report(bytes(range(256)) * 100) is None
    nested = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (i, i) for i in range(5_000))
    assert read_report(nested) is None
    assert read_report(b"Content-Type: message/rfc822\n\n" * 8_000) is None


def test_a_report_without_our_header_names_no_message() -> None:
    report = read(POSTFIX.replace("CFBL-Feedback-ID", "X-Other"))
    assert report is not None
    assert report.token == ""


@pytest.mark.parametrize(
    ("status", "text", "expected"),
    [
        ("5.1.1", "", BounceClass.HARD),
        ("", "550 5.1.1 The email account that you tried to reach does not exist", BounceClass.HARD),
        ("5.0.0", "550 No such user here", BounceClass.HARD),
        ("5.4.1", "550 5.4.1 Recipient address rejected: Access denied", BounceClass.BLOCK),
        ("5.2.2", "", BounceClass.FULL),
        ("4.2.2", "452 4.2.2 mailbox full", BounceClass.FULL),
        ("5.7.1", "", BounceClass.BLOCK),
        ("5.7.26", "unauthenticated mail is prohibited", BounceClass.BLOCK),
        ("5.7.1", "554 blocked using zen.spamhaus.org", BounceClass.BLOCK),
        ("4.7.0", "greylisted, try again later", BounceClass.SOFT),
        ("4.1.1", "unknown user", BounceClass.SOFT),
        ("4.4.7", "delivery time expired", BounceClass.SOFT),
        ("5.3.0", "", BounceClass.SOFT),
        ("", "", BounceClass.SOFT),
    ],
)
def test_classes(status: str, text: str, expected: BounceClass) -> None:
    assert classify(status, text) is expected


def test_permanent() -> None:
    assert is_permanent("5.1.1", "")
    assert is_permanent("", "550 no")
    assert not is_permanent("4.2.2", "")
    assert not is_permanent("", "hello")
