"""The schema: what is learned, declared, renamed and retired, what is refused, and that a stored form is read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import CdpError
from core.events.persons import RawPerson, check_person
from core.events.report import Report
from core.events.schema import MOST_NAMES, Base, Definition, Family, Place, Row, Schema
from core.events.schema_changes import Want, base_declared, declared, learned, renamed, retired
from core.events.schema_check import SchemaCheck
from core.events.schema_codec import Change, decode, encode
from core.events.schema_listing import listed
from core.schema import DecimalUnits, Kind, Value

NOW_US = 1_700_000_000_000_000
GOLDEN = Path(__file__).parents[2] / "golden" / "schema" / "v1.jsonl"


def attribute(name: str) -> Place:
    """An attribute's place."""
    return Place(Family.ATTRIBUTE, "", name)


def after(schema: Schema, rows: tuple[Row, ...]) -> Schema:
    """The schema with a change, which has to be one."""
    assert rows
    return schema.with_rows(rows, schema.version + 1)


def told(schema: Schema, traits: Mapping[str, object]) -> tuple[dict[str, Value | None], Report, SchemaCheck]:
    """What becomes of traits at the door."""
    report = Report()
    names = SchemaCheck(schema, report)
    raw = RawPerson("m", "", None, "", [("id", "external_id", "ann")], [(traits, "traits")])
    person = check_person(raw, "m", NOW_US, lambda _: True, report, names)
    return ({} if person is None else dict(person.attributes)), report, names


def learn(schema: Schema, traits: Mapping[str, object]) -> Schema:
    """The schema after these traits came."""
    return after(schema, learned(schema, told(schema, traits)[2].wants, NOW_US))


def reason(schema: Schema, traits: Mapping[str, object]) -> tuple[str, str]:
    """Why traits are refused, and the path of the first wrong place."""
    problems = told(schema, traits)[1].problems
    return problems[0][0], problems[0][1].path


def test_the_first_value_decides_and_another_type_is_refused_with_its_path() -> None:
    schema = learn(Schema(), {"Shoe Size": 42, "hat": "L", "tags": ["a"], "pets": [{"name": "Rex", "age": 3}]})
    kinds = {one.key: one.kind for one in schema.definitions(Family.ATTRIBUTE)}
    assert kinds == {"shoe_size": Kind.INTEGER, "hat": Kind.TEXT, "tags": Kind.TEXT_LIST, "pets": Kind.OBJECT_LIST}
    assert schema.kind(Place(Family.ELEMENT, "pets", "age")) is Kind.INTEGER
    assert reason(schema, {"shoeSize": "big"}) == ("BAD_NUMBER", "traits.shoeSize")
    assert reason(schema, {"hat": True}) == ("WRONG_TYPE", "traits.hat")
    assert reason(schema, {"pets": [{"name": "Rex"}, {"name": False}]}) == ("WRONG_TYPE", "traits.pets[1].name")
    assert told(schema, {"shoe_size": "43", "hat": 12})[0] == {"shoe_size": 43, "hat": "12"}


def test_null_and_an_empty_list_of_an_unknown_name_teach_nothing() -> None:
    kept, report, names = told(Schema(), {"tags": [], "hat": None})
    assert (kept, names.wants) == ({"hat": None}, ())
    assert [note.path for note in report.notes] == ["traits.tags"]
    schema = learn(Schema(), {"pets": [{"name": "Rex"}]})
    assert told(schema, {"pets": []})[0] == {"pets": ()}


def test_a_learned_integer_becomes_decimal_at_its_first_fraction_and_a_declared_one_does_not() -> None:
    schema = learn(Schema(), {"spent": 10})
    for fraction in (DecimalUnits(105_000), "10.5"):
        kept, report, names = told(schema, {"spent": fraction})
        assert kept == {"spent": DecimalUnits(105_000)}
        assert names.wants == (Want(attribute("spent"), Kind.DECIMAL),)
        assert not report.problems
    wide = learn(schema, {"spent": DecimalUnits(105_000)})
    assert told(wide, {"spent": 11})[0] == {"spent": DecimalUnits(110_000)}
    assert learned(wide, [Want(attribute("spent"), Kind.INTEGER)], NOW_US) == ()
    fixed = after(schema, declared(schema, attribute("spent"), Kind.INTEGER, "", "", NOW_US))
    assert reason(fixed, {"spent": DecimalUnits(105_000)}) == ("WRONG_TYPE", "traits.spent")
    assert learned(fixed, [Want(attribute("spent"), Kind.DECIMAL)], NOW_US) == ()


def test_a_declared_kind_makes_exact_conversions() -> None:
    schema = Schema()
    for name, kind in (("joined", Kind.DATE), ("limit", Kind.DECIMAL), ("home", Kind.LOCATION), ("vip", Kind.BOOLEAN)):
        schema = after(schema, declared(schema, attribute(name), kind, "", "", NOW_US))
    kept, report, names = told(
        schema, {"joined": "2020-01-31", "limit": 12, "home": {"lat": 50, "lon": 30}, "vip": "true"}
    )
    assert not report.problems
    assert names.wants == ()
    assert str(kept["joined"]) == "2020-01-31"
    assert (kept["limit"], kept["vip"]) == (DecimalUnits(120_000), True)
    assert reason(schema, {"joined": "soon"}) == ("BAD_TIME", "traits.joined")


def test_declaring_again_is_no_change_and_another_kind_is_a_conflict() -> None:
    schema = learn(Schema(), {"hat": "L"})
    with pytest.raises(CdpError) as caught:
        declared(schema, attribute("hat"), Kind.INTEGER, "", "", NOW_US)
    assert caught.value.reason == "KIND_TAKEN"
    schema = after(schema, declared(schema, attribute("hat"), Kind.TEXT, "Hat size", "", NOW_US))
    assert declared(schema, attribute("hat"), None, "", "", NOW_US) == ()
    with pytest.raises(CdpError) as caught:
        declared(schema, attribute("email"), Kind.INTEGER, "", "", NOW_US)
    assert caught.value.reason == "KIND_TAKEN"
    with pytest.raises(CdpError) as caught:
        declared(schema, Place(Family.EVENT, "", "fitted"), Kind.TEXT, "", "", NOW_US)
    assert caught.value.reason == "BAD_KIND"
    with pytest.raises(CdpError) as caught:
        declared(schema, Place(Family.PARAMETER, "fitted", "x"), Kind.TEXT, "", "", NOW_US)
    assert caught.value.reason == "NO_SUCH_NAME"


def test_a_renamed_name_keeps_its_old_ones_and_nobody_else_gets_any_of_them() -> None:
    schema = learn(Schema(), {"hat": "L", "shoe": 1})
    schema = after(schema, renamed(schema, attribute("hat"), "Hat Size"))
    found = schema.find(attribute("hat_size"))
    assert found is not None
    assert (found.key, found.name, found.names) == ("hat", "hat_size", ("hat", "hat_size"))
    assert told(schema, {"hat": "S"})[0] == told(schema, {"hatSize": "S"})[0] == {"hat": "S"}
    assert told(schema, {"hat": "S", "hatSize": "M"})[0] == {"hat": "S"}
    for taken in ("hat", "hat_size", "email", "birthday"):
        with pytest.raises(CdpError) as caught:
            renamed(schema, attribute("shoe"), taken)
        assert caught.value.reason == "NAME_TAKEN", taken
    back = after(schema, renamed(schema, attribute("hat_size"), "hat"))
    restored = back.find(attribute("hat_size"))
    assert restored is not None
    assert (restored.name, restored.names) == ("hat", ("hat", "hat_size"))
    assert renamed(back, attribute("hat"), "hat") == ()


def test_an_owner_may_be_called_by_any_of_its_names() -> None:
    event = Place(Family.EVENT, "", "test_drive")
    schema = after(Schema(), declared(Schema(), event, None, "", "", NOW_US))
    schema = after(schema, declared(schema, Place(Family.PARAMETER, "test_drive", "model"), Kind.TEXT, "", "", NOW_US))
    schema = after(schema, renamed(schema, event, "trial_ride"))
    shown = Place(Family.PARAMETER, "trial_ride", "model")
    schema = after(schema, renamed(schema, shown, "car"))
    [row] = declared(schema, Place(Family.PARAMETER, "trial_ride", "speed"), Kind.INTEGER, "", "", NOW_US)
    assert isinstance(row, Definition)
    assert row.place == Place(Family.PARAMETER, "test_drive", "speed")
    schema = after(schema, (row,))
    schema = after(schema, retired(schema, replace(shown, name="car"), True))
    for owner in ("test_drive", "trial_ride"):
        own = listed(schema, Family.PARAMETER, owner, with_retired=True, own_only=True)
        assert [(one.owner, one.name, one.retired) for one in own] == [
            ("test_drive", "car", True),
            ("test_drive", "speed", False),
        ]


def test_the_vocabulary_is_neither_renamed_nor_retired() -> None:
    titled = after(Schema(), declared(Schema(), attribute("city"), None, "Town", "", NOW_US))
    for schema in (Schema(), titled):
        with pytest.raises(CdpError) as caught:
            renamed(schema, attribute("city"), "town")
        assert caught.value.reason == "CANONICAL_NAME"
        with pytest.raises(CdpError) as caught:
            retired(schema, attribute("city"), True)
        assert caught.value.reason == "CANONICAL_NAME"
    assert told(titled, {"city": "Kyiv"})[0] == {"city": "Kyiv"}


def test_a_retired_name_is_left_out_with_a_note_until_it_is_restored() -> None:
    schema = learn(Schema(), {"hat": "L"})
    gone = after(schema, retired(schema, attribute("hat"), True))
    kept, report, _ = told(gone, {"hat": "S", "city": "Kyiv"})
    assert kept == {"city": "Kyiv"}
    assert [(note.path, note.description) for note in report.notes] == [("traits.hat", "left out: 'hat' is retired")]
    again = after(gone, retired(gone, attribute("hat"), False))
    assert told(again, {"hat": "S"})[0] == {"hat": "S"}
    assert retired(again, attribute("hat"), False) == ()


def test_bases_are_declared_first_and_have_attributes_of_their_own() -> None:
    with pytest.raises(CdpError) as caught:
        declared(Schema(), attribute("discount_level"), Kind.INTEGER, "", "wholesale", NOW_US)
    assert caught.value.reason == "NO_SUCH_BASE"
    assert told(Schema(), {"bases": ["anything"]})[0] == {"bases": ("anything",)}
    schema = after(Schema(), base_declared(Schema(), "wholesale", "Wholesale", NOW_US))
    schema = after(schema, declared(schema, attribute("discount_level"), Kind.INTEGER, "", "wholesale", NOW_US))
    kept, report, _ = told(schema, {"wholesale": {"discountLevel": "3"}, "bases": ["wholesale"]})
    assert not report.problems
    assert kept == {"wholesale.discount_level": 3, "bases": ("wholesale",)}
    assert reason(schema, {"bases": ["wholesale", "retail"]}) == ("UNKNOWN_BASE", "traits.bases")
    for wrong in ("", "Whole Sale", "a.b", "a\nb"):
        with pytest.raises(CdpError):
            base_declared(schema, wrong, "", NOW_US)


def test_names_end_at_the_limit_with_a_reason() -> None:
    most = MOST_NAMES[Family.ATTRIBUTE]
    wants = [Want(attribute(f"a{number}"), Kind.TEXT) for number in range(most + 5)]
    schema = after(Schema(), learned(Schema(), wants, NOW_US))
    assert (schema.room(Family.ATTRIBUTE, ""), len(list(schema.definitions()))) == (0, most)
    assert reason(schema, {"one_more": 1}) == ("TOO_MANY_NAMES", "traits.one_more")
    assert told(schema, {"a7": "x", "city": "Kyiv"})[0] == {"a7": "x", "city": "Kyiv"}
    with pytest.raises(CdpError) as caught:
        declared(schema, attribute("one_more"), Kind.TEXT, "", "", NOW_US)
    assert caught.value.reason == "TOO_MANY_NAMES"


def test_names_that_differ_by_case_or_composition_are_one() -> None:
    schema = learn(Schema(), {"Café": "x"})
    [one] = schema.definitions(Family.ATTRIBUTE)
    assert told(schema, {"cafe\u0301": "y"})[0] == told(schema, {"CAFÉ": "y"})[0] == {one.key: "y"}


def test_what_was_stored_is_read_for_ever() -> None:
    changes = [
        Change("first seen", "learned", 1, (Definition(Family.ATTRIBUTE, "", "hat", Kind.TEXT, 1),)),
        Change("key", "declared", 2, (Base("wholesale", "Гурт", 2),)),
        Change(
            "key",
            "renamed",
            3,
            (
                Definition(
                    Family.PARAMETER, "fitted", "size", Kind.DECIMAL, 1, True, "розмір", ("розмір",), "Size",
                    retired=True,
                ),
                Definition(Family.EVENT, "", "fitted", None, 0),
                Definition(Family.ATTRIBUTE, "", "wholesale.level", Kind.INTEGER, 3, True, base="wholesale"),
            ),
        ),
    ]  # fmt: skip
    stored = GOLDEN.read_bytes().splitlines()
    assert [decode(line) for line in stored] == changes
    assert [encode(change) for change in changes] == stored
    with pytest.raises(CdpError):
        decode(b'{"v": 2}')
