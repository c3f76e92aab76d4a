"""Receipts of SMS centres as they come: by the standard's appendix, and as some write them."""

from __future__ import annotations

import pytest

from core.delivery.sms_receipts import SmsReceipt, read_receipt

HEAD = "sub:001 dlvrd:001 submit date:2701150800 done date:2701150801"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (f"id:a001 {HEAD} stat:DELIVRD err:000 text:Hello", SmsReceipt("a001", True, "DELIVRD")),
        (f"id:a001 {HEAD} stat:UNDELIV err:005 text:", SmsReceipt("a001", False, "UNDELIV err:005")),
        (f"id:0000000042 {HEAD} stat:EXPIRED err:0 text:", SmsReceipt("0000000042", False, "EXPIRED")),
        (f"id:7 {HEAD} stat:REJECTD err:0A1 text:", SmsReceipt("7", False, "REJECTD err:0A1")),
        (f"id:7 {HEAD} stat:DELETED err:000", SmsReceipt("7", False, "DELETED")),
        (f"id:7 {HEAD} stat:ACCEPTD err:000 text:", SmsReceipt("7", None, "ACCEPTD")),
        (f"id:7 {HEAD} stat:ENROUTE err:000 text:", SmsReceipt("7", None, "ENROUTE")),
        (f"id:7 {HEAD} stat:UNKNOWN err:000 text:", SmsReceipt("7", None, "UNKNOWN")),
        ("ID:7 STAT:delivered ERR:000", SmsReceipt("7", True, "DELIVRD")),
        ("id:c449ab97-44f4 stat:Undeliverable", SmsReceipt("c449ab97-44f4", False, "UNDELIV")),
        ("id: 7 stat: DELIVRD", SmsReceipt("7", True, "DELIVRD")),
        ("stat:DELIVRD", None),
        ("id:7", None),
        ("id:7 stat:WONDER", None),
        ("", None),
        ("Thanks! id card and state", None),
        (f"id:{'9' * 5000} stat:DELIVRD", None),
    ],
)  # fmt: skip
def test_texts(text: str, wanted: SmsReceipt | None) -> None:
    assert read_receipt(text) == wanted


def test_the_message_that_follows_says_nothing_of_the_state() -> None:
    text = f"id:7 {HEAD} err:000 text:stat:DELIVRD id:8"
    assert read_receipt(text) is None
    assert read_receipt(f"id:7 {HEAD} stat:UNDELIV err:001 text:stat:DELIVRD") == SmsReceipt(
        "7", False, "UNDELIV err:001"
    )


def test_parameters_are_believed_before_the_text() -> None:
    assert read_receipt("id:7 stat:UNDELIV", "a7", 2) == SmsReceipt("a7", True, "DELIVRD")
    assert read_receipt("", "a7", 8) == SmsReceipt("a7", False, "REJECTD")
    assert read_receipt("id:7 stat:DELIVRD", "a7", 99) == SmsReceipt("a7", True, "DELIVRD")
