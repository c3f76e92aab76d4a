"""What a visitor's answer to a pop-up says: checked against the very version that was shown, then made into facts.

Who says it is the visitor; an email or a phone number in it says who the visitor is. The lists, the consents and the
pool are those of the pop-up: a page cannot choose others.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from hashlib import sha256

from cdp.channel.v1 import popup_pb2
from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2
from core.errors import Violation, invalid
from core.events.checks import Bad, clean_text

ANSWERED = "popup_answered"
LIMIT_ANSWER = 500
#: What these ask for stands with the person, not in the event.
HIDDEN = frozenset({popup_pb2.POPUP_FIELD_KIND_EMAIL, popup_pb2.POPUP_FIELD_KIND_PHONE})

_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+")
_PHONE = re.compile(r"\+?[0-9 ()./-]{5,30}")
_NUMBER = re.compile(r"-?[0-9]{1,15}")
_EPOCH = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered: field name -> value as it is kept, and the indices of the boxes that were ticked."""

    values: Mapping[str, facts_pb2.Value]
    texts: Mapping[str, str]
    ticked: tuple[int, ...]


def checked(popup: popup_pb2.Popup, fields: Mapping[str, str], ticked: Collection[int]) -> Answer:
    """The answer to `popup`. Raises INVALID / BAD_ANSWER with every wrong field."""
    problems: list[Violation] = []
    values: dict[str, facts_pb2.Value] = {}
    texts: dict[str, str] = {}
    for one in popup.fields:
        text = clean_text(fields.get(one.name, ""))
        said = "" if isinstance(text, Bad) else text.strip()
        value = None if isinstance(text, Bad) or len(said) > LIMIT_ANSWER else _value(one, said)
        if not said and not isinstance(text, Bad):
            if one.required:
                problems.append(Violation(f"fields.{one.name}", "is needed"))
        elif value is None:
            problems.append(Violation(f"fields.{one.name}", _WRONG[one.kind]))
        else:
            values[one.name] = value
            texts[one.name] = said
    known = {one.name for one in popup.fields}
    problems += [Violation("fields", "there is no such field") for name in fields if name not in known][:1]
    if any(index >= len(popup.consents) for index in ticked):
        problems.append(Violation("consents", "there is no such box"))
    for index, box in enumerate(popup.consents):
        if box.required and index not in ticked:
            problems.append(Violation(f"consents[{index}]", "is needed"))
    if not problems and not values and not ticked:
        problems.append(Violation("fields", "nothing is answered"))
    if problems:
        raise invalid("BAD_ANSWER", "; ".join(f"{v.path} {v.description}" for v in problems), *problems)
    return Answer(values, texts, tuple(sorted(set(ticked))))


def person_of(
    popup: popup_pb2.Popup, request: popup_pb2.AnswerPopupRequest, answer: Answer, now_us: int
) -> ingest_pb2.Person | None:
    """What the answer says of the person: attributes, lists, consents with their proof. None: nothing."""
    person = ingest_pb2.Person(message_id=_id(request, "person"), occurred_at_us=now_us, identifiers=[request.visitor])
    lists = list(popup.lists)
    for one in popup.fields:
        value = answer.values.get(one.name)
        if value is None:
            continue
        if one.kind == popup_pb2.POPUP_FIELD_KIND_EMAIL:
            person.attributes["email"].CopyFrom(value)
        elif one.kind == popup_pb2.POPUP_FIELD_KIND_PHONE:
            person.attributes["phone"].CopyFrom(value)
        if one.attribute:
            person.attributes[one.attribute].CopyFrom(value)
        lists += [option.list for option in one.options if option.list and option.value == answer.texts[one.name]]
    for name in dict.fromkeys(lists):
        person.lists.add(list=name, member=True)
    for index in answer.ticked:
        box = popup.consents[index]
        person.consents.add(
            channel=box.channel,
            category=box.category,
            state="unconfirmed" if box.double_opt_in else "granted",
            source=f"popup:{request.popup}",
            proof=f'"{box.text}" {request.url} {request.proof}'.strip()[:1_000],
        )
    return person if person.attributes or person.lists or person.consents else None


def event_of(
    popup: popup_pb2.Popup, request: popup_pb2.AnswerPopupRequest, answer: Answer, now_us: int
) -> ingest_pb2.Event:
    """The event `popup_answered`: the pop-up, its version, the page, and each answer as answer_<name>. An email or a
    phone number stands with the person, not in an event."""
    event = ingest_pb2.Event(
        message_id=_id(request, "answer"), type=ANSWERED, occurred_at_us=now_us, identifiers=[request.visitor]
    )
    event.params["popup"].text = request.popup
    event.params["popup_version"].integer = popup.revision.version
    if request.url:
        event.params["url"].text = request.url
    for one in popup.fields:
        if one.name in answer.values and one.kind not in HIDDEN:
            event.params[f"answer_{one.name}"].CopyFrom(answer.values[one.name])
    return event


def _value(field: popup_pb2.PopupField, said: str) -> facts_pb2.Value | None:
    match field.kind:
        case popup_pb2.POPUP_FIELD_KIND_NUMBER:
            return facts_pb2.Value(integer=int(said)) if _NUMBER.fullmatch(said) else None
        case popup_pb2.POPUP_FIELD_KIND_DATE:
            return _date(said)
        case popup_pb2.POPUP_FIELD_KIND_CHOICE:
            sound = any(option.value == said for option in field.options)
        case popup_pb2.POPUP_FIELD_KIND_EMAIL:
            sound = len(said) <= 254 and _EMAIL.fullmatch(said) is not None
        case popup_pb2.POPUP_FIELD_KIND_PHONE:
            sound = _PHONE.fullmatch(said) is not None
        case _:
            sound = True
    return facts_pb2.Value(text=said) if sound else None


def _date(said: str) -> facts_pb2.Value | None:
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", said):
        return None
    try:
        return facts_pb2.Value(date_days=date.fromisoformat(said).toordinal() - _EPOCH)
    except ValueError:  # the 31st of a month with 30 days
        return None


def _id(request: popup_pb2.AnswerPopupRequest, what: str) -> str:
    parts = (request.visitor.kind, request.visitor.value, request.popup, request.answer_id)
    return f"popup:{sha256(chr(0).join(parts).encode()).hexdigest()[:32]}:{what}"


_WRONG: Mapping[int, str] = {
    popup_pb2.POPUP_FIELD_KIND_TEXT: f"has at most {LIMIT_ANSWER} characters",
    popup_pb2.POPUP_FIELD_KIND_EMAIL: "is no email address",
    popup_pb2.POPUP_FIELD_KIND_PHONE: "is no phone number",
    popup_pb2.POPUP_FIELD_KIND_NUMBER: "is no whole number",
    popup_pb2.POPUP_FIELD_KIND_DATE: "is no date like 2026-11-22",
    popup_pb2.POPUP_FIELD_KIND_CHOICE: "is none of the choices",
}
