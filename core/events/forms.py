"""What an answer says about the person who gave it: surveys, the question for a recommendation (NPS), and forms.

| event | parameter | what follows |
|---|---|---|
| survey_answered | `survey` or `question` is "nps", `score` 0 to 10 | attribute `nps`, dated by the answer |
| form_submitted | `email`, `phone` | identifies the person, who may have been an unknown visitor until now |
| | `attributes` (an object) | attributes |
| | `list`, `lists` | put on these static lists |
| | `consents` (channels) | consent `granted`, with the form and its page as proof; `double_opt_in`: `unconfirmed` |

It is written with the event, by the same identifiers and at its instant, so a visitor who picks a segment before being
in the base is in it from that moment on, and keeps it once they are known.
"""

from __future__ import annotations

from core.events.checks import Bad
from core.events.columns import IMPORTED, Event
from core.events.facts import CHANNELS
from core.events.persons import Consent, RawPerson
from core.schema import Instant

SURVEY_ANSWERED = "survey_answered"
FORM_SUBMITTED = "form_submitted"
#: Events whose answers are read.
ANSWERS = frozenset({SURVEY_ANSWERED, FORM_SUBMITTED})

NPS = "nps"
BAD_SCORE = "BAD_SCORE"
BAD_FORM = "BAD_FORM"
_LARGEST_SCORE = 10
_ATTRIBUTES = "attributes."


def person_of_answer(event: Event, path: str) -> RawPerson | tuple[str, Bad] | None:
    """What `event` says about its person; None: nothing; a wrong place under `path`, and why, where it cannot be."""
    if event.type == SURVEY_ANSWERED:
        return _of_survey(event, path)
    return _of_form(event, path) if event.type == FORM_SUBMITTED else None


def _of_survey(event: Event, path: str) -> RawPerson | tuple[str, Bad] | None:
    named = {str(event.params[name]).strip().casefold() for name in ("survey", "question") if name in event.params}
    if NPS not in named:
        return None
    score = event.params.get("score")
    if not isinstance(score, int) or isinstance(score, bool) or not 0 <= score <= _LARGEST_SCORE:
        return f"{path}.score", Bad(
            BAD_SCORE, f"how likely a recommendation is, a whole number of 0 to {_LARGEST_SCORE}"
        )
    return _person(event, {NPS: score}, path)


def _of_form(event: Event, path: str) -> RawPerson | tuple[str, Bad] | None:
    params = event.params
    form = str(params.get("form", ""))
    attributes: dict[str, object] = {
        name.removeprefix(_ATTRIBUTES): _plain(value) for name, value in params.items() if name.startswith(_ATTRIBUTES)
    }
    attributes.update({name: params[name] for name in ("email", "phone") if isinstance(params.get(name), str)})
    lists = [name for param in ("list", "lists") for name in _texts(params.get(param))]
    channels = _texts(params.get("consents"))
    unknown = [channel for channel in channels if channel not in CHANNELS]
    if unknown:
        return f"{path}.consents", Bad(BAD_FORM, f"a channel is one of {', '.join(CHANNELS)}")
    if not attributes and not lists and not channels:
        return None
    state = "unconfirmed" if params.get("double_opt_in") is True else "granted"
    proof = " ".join(part for part in (form, str(params.get("url", ""))) if part)[:1_000]
    consents = tuple((f"{path}.consents", Consent(one, state, f"form:{form}"[:200], "", proof)) for one in channels)
    moves = tuple((f"{path}.list", name, True) for name in lists)
    return _person(event, attributes, path, consents, moves)


def _person(
    event: Event,
    attributes: dict[str, object],
    path: str,
    consents: tuple[tuple[str, Consent], ...] = (),
    lists: tuple[tuple[str, str, bool], ...] = (),
) -> RawPerson:
    return RawPerson(
        # Told twice, the event counts once, and so does what it says; nobody else's id is made of two colons.
        message_id=f"answer::{event.id}"[:256],
        message_id_path=path,
        occurred=Instant(event.occurred_at_us),
        occurred_path=path,
        identifiers=tuple((path, one.kind, one.value) for one in event.identifiers),
        attributes=((attributes, path),),
        consents=consents,
        lists=lists,
        imported=bool(event.flags & IMPORTED),
    )


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [one for one in value if isinstance(one, str)] if isinstance(value, tuple) else []
