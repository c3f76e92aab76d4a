"""What changes a schema, as pure decisions: each gives the rows that are new, none where nothing changes, or refuses.

Saying the same again is no change and no error, so that a call may be repeated.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from core.errors import CdpError, Code, conflict, invalid, not_found
from core.events.canonical import attribute_name, event_type, item_name, param_name
from core.events.checks import Bad, clean_name, clean_text
from core.events.schema import (
    MOST_BASES,
    MOST_NAMES,
    Base,
    Definition,
    Family,
    Place,
    Row,
    Schema,
    canonical_kind,
    is_canonical,
)
from core.events.schema_names import by_owner_key
from core.schema import Kind

BAD_NAME = "BAD_NAME"
BAD_TITLE = "BAD_TITLE"
BAD_KIND = "BAD_KIND"
KIND_TAKEN = "KIND_TAKEN"
NAME_TAKEN = "NAME_TAKEN"
NO_SUCH_NAME = "NO_SUCH_NAME"
NO_SUCH_BASE = "NO_SUCH_BASE"
CANONICAL_NAME = "CANONICAL_NAME"
TOO_MANY_NAMES = "TOO_MANY_NAMES"

_MOST_TITLE = 200
_MOST_OTHERS = 20
_SCALARS = frozenset({Kind.TEXT, Kind.INTEGER, Kind.DECIMAL, Kind.BOOLEAN, Kind.INSTANT, Kind.DATE})
#: Kinds that names of a family can have.
KINDS: dict[Family, frozenset[Kind]] = {
    Family.ATTRIBUTE: frozenset(Kind),
    Family.ELEMENT: _SCALARS,
    Family.EVENT: frozenset(),
    Family.PARAMETER: _SCALARS | {Kind.TEXT_LIST},
    Family.ITEM: _SCALARS,
    Family.PRODUCT: _SCALARS,
}


@dataclass(frozen=True, slots=True)
class Want:
    """A value of `kind` (None: an event) came under a name that the schema does not know so yet."""

    place: Place
    kind: Kind | None


def widens(known: Kind | None, seen: Kind | None) -> bool:
    """Whether a learned name of kind `known` becomes `seen`: an integer at its first fraction."""
    return known is Kind.INTEGER and seen is Kind.DECIMAL


def learned(schema: Schema, wants: Iterable[Want], now_us: int) -> tuple[Row, ...]:
    """The names that come anew, and the learned integers that become decimals. What there is no place for, what is
    known already and what clashes with it is left to the check of the item, which is made again afterwards."""
    rows: dict[Place, Definition] = {}
    room: dict[tuple[Family, str], int] = {}
    for want in wants:
        place, found = want.place, rows.get(want.place) or schema.find(want.place)
        if found is not None:
            if widens(found.kind, want.kind) and not found.declared:
                rows[found.place] = replace(found, kind=want.kind)
            continue
        owner = (place.family, place.owner)
        left = room.setdefault(owner, schema.room(*owner))
        if left > 0 and not is_canonical(place):
            room[owner] = left - 1
            rows[place] = Definition(place.family, place.owner, place.name, want.kind, now_us)
    return tuple(rows.values())


def declared(schema: Schema, place: Place, kind: Kind | None, title: str, base: str, now_us: int) -> tuple[Row, ...]:
    """A name with its kind, before or after facts used it. `place` may be any of its names, in canonical form. The name
    of an attribute of a base begins with the base's id and a dot; that is put in front where it is not there.

    Raises INVALID / BAD_KIND for a kind that the family has not, CONFLICT / KIND_TAKEN where facts have fixed another
    one, EXHAUSTED / TOO_MANY_NAMES, NOT_FOUND / NO_SUCH_BASE, NOT_FOUND / NO_SUCH_NAME for an unknown owner."""
    place = by_owner_key(schema, _of_base(schema, place, base) if base else place)
    found = schema.find(place)
    canonical = canonical_kind(place)
    wanted = kind or (found.kind if found is not None else canonical)
    _check_kind(place, wanted)
    if canonical is not None and wanted is not canonical:
        raise conflict(KIND_TAKEN, f"{place} is of kind {canonical.name} by the vocabulary")
    _require_owner(schema, place)
    if found is None:
        if schema.room(place.family, place.owner) <= 0:
            raise CdpError(Code.EXHAUSTED, TOO_MANY_NAMES, f"{place} {full_sentence(place)}")
        return (Definition(*_parts(place), wanted, now_us, True, title=checked_title(title), base=base),)
    if wanted is not found.kind and not (widens(found.kind, wanted) and not found.declared):
        raise conflict(KIND_TAKEN, f"{place} is of kind {_kind_name(found.kind)} already; choose another name")
    after = replace(
        found, kind=wanted, declared=True, title=checked_title(title) or found.title, base=base or found.base
    )
    return () if after == found else (after,)


def renamed(schema: Schema, place: Place, new_name: str) -> tuple[Row, ...]:
    """`new_name` is shown from now on; every name so far keeps its meaning. Raises CONFLICT / NAME_TAKEN where it
    means something else, CONFLICT / CANONICAL_NAME for a name of the vocabulary, NOT_FOUND / NO_SUCH_NAME."""
    found = known(schema, place)
    place = found.place
    name = canonical_name(place.family, place.owner, new_name)
    target = replace(place, name=name)
    if is_canonical(target):
        raise conflict(NAME_TAKEN, f"{target} is a name of the vocabulary")
    holder = schema.find(target)
    if holder is not None and holder.key != found.key:
        raise conflict(NAME_TAKEN, f"{target} is a name of {holder.name!r} already")
    others = found.others if name in found.names else (*found.others, name)
    if len(others) > _MOST_OTHERS:
        raise CdpError(Code.EXHAUSTED, TOO_MANY_NAMES, f"{place} was renamed {_MOST_OTHERS} times already")
    after = replace(found, shown=name, others=others)
    return () if after.name == found.name else (after,)


def retired(schema: Schema, place: Place, retire: bool) -> tuple[Row, ...]:
    """Take a name out of use, or back into it. Errors are those of `renamed`."""
    found = known(schema, place)
    return () if found.retired is retire else (replace(found, retired=retire),)


def base_declared(schema: Schema, base_id: str, title: str, now_us: int) -> tuple[Row, ...]:
    """A base of contacts. Errors are those of `checked_base_id` and EXHAUSTED / TOO_MANY_NAMES."""
    clean = checked_base_id(base_id)
    found = schema.bases.get(clean)
    if found is None and len(schema.bases) >= MOST_BASES:
        raise CdpError(Code.EXHAUSTED, TOO_MANY_NAMES, f"a workspace has at most {MOST_BASES} bases")
    after = Base(clean, checked_title(title), now_us if found is None else found.since_us)
    return () if after == found else (after,)


def checked_base_id(base_id: str) -> str:
    """The id as facts hold it: a name in canonical form, without dots. INVALID / BAD_NAME."""
    clean = clean_name(base_id)
    if isinstance(clean, Bad) or attribute_name(clean) != clean or "." in clean:
        raise invalid(BAD_NAME, f"{base_id[:80]!r} is no id of a base: letters, digits and _, such as wholesale")
    return clean


def known(schema: Schema, place: Place) -> Definition:
    """The definition of a name. Raises NOT_FOUND / NO_SUCH_NAME, CONFLICT / CANONICAL_NAME for the vocabulary's."""
    place = by_owner_key(schema, place)
    found = schema.find(place)
    if found is None or is_canonical(found.place):
        if is_canonical(place):
            raise conflict(CANONICAL_NAME, f"{place} is a name of the vocabulary: it can have a title, and no more")
        raise not_found(NO_SUCH_NAME, f"there is no {place}")
    return found


def canonical_name(family: Family, owner: str, name: str) -> str:
    """`name` as facts of the family spell it: snake_case, mapped from the names of sources. INVALID / BAD_NAME."""
    clean = clean_name(name)
    if isinstance(clean, Bad):
        raise invalid(BAD_NAME, clean.description)
    match family:
        case Family.ATTRIBUTE | Family.ELEMENT:
            found = attribute_name(clean)
        case Family.EVENT:
            found = event_type(clean)
        case Family.PARAMETER:
            found = param_name(owner, clean)
        case Family.ITEM | Family.PRODUCT:
            found = item_name(clean)
    if not found:
        raise invalid(BAD_NAME, "a name needs a letter or a digit")
    return found


def checked_title(title: str) -> str:
    """A title of at most 200 characters; may be empty. INVALID / BAD_TITLE."""
    clean = clean_text(title)
    if isinstance(clean, Bad) or len(clean) > _MOST_TITLE:
        raise invalid(BAD_TITLE, f"a title is a text of at most {_MOST_TITLE} characters")
    return clean


def full_sentence(place: Place) -> str:
    """Why a new name is not taken, and what to do."""
    of = f' of "{place.owner}"' if place.owner else ""
    return (
        f"is a new name, and a workspace has at most {MOST_NAMES[place.family]} names of {place.family}s{of}: "
        "send one of those, with what varies as a value"
    )


def _require_owner(schema: Schema, place: Place) -> None:
    """A parameter needs its event, a field of elements its list."""
    match place.family:
        case Family.PARAMETER:
            owner = Place(Family.EVENT, "", place.owner)
            there = is_canonical(owner) or schema.find(owner) is not None
        case Family.ELEMENT:
            owner = Place(Family.ATTRIBUTE, "", place.owner)
            there = schema.kind(owner) is Kind.OBJECT_LIST
        case _:
            if place.owner:
                raise invalid(BAD_NAME, f"a name of {place.family} has no owner")
            return
    if not there:
        raise not_found(NO_SUCH_NAME, f"there is no {owner}; declare it first")


def _of_base(schema: Schema, place: Place, base: str) -> Place:
    if place.family is not Family.ATTRIBUTE:
        raise invalid(NO_SUCH_BASE, f"{place}: only attributes belong to a base")
    if base not in schema.bases:
        raise not_found(NO_SUCH_BASE, f"there is no base {base!r}; declare it first")
    prefix = f"{base}."
    return place if place.name.startswith(prefix) else replace(place, name=f"{prefix}{place.name}")


def _check_kind(place: Place, kind: Kind | None) -> None:
    if place.family is Family.EVENT:
        if kind is not None:
            raise invalid(BAD_KIND, f"{place}: an event has no kind")
    elif kind is None:
        raise invalid(BAD_KIND, f"{place}: say of which kind it is")
    elif kind not in KINDS[place.family]:
        raise invalid(BAD_KIND, f"{place}: cannot be of kind {kind.name}")


def _parts(place: Place) -> tuple[Family, str, str]:
    return place.family, place.owner, place.name


def _kind_name(kind: Kind | None) -> str:
    return "none" if kind is None else kind.name
