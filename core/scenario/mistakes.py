"""Mistakes of a definition, collected, with what is checked of names and texts wherever they stand."""

from __future__ import annotations

import re
from collections.abc import Sequence

from core.errors import CdpError, Violation
from core.query.ast import FilterTree
from core.scenario.run import OWN_VALUES
from core.scenario.texts import RunText, attributes_in, read_filter, read_text, reads_contacts_zone

MAX_NAME_CHARACTERS = 200
#: As ":name" in a text reads it.
_VALUE_NAME = re.compile(r"[^\W\d]\w*")


class Mistakes:
    """Collects what is wrong; goes on wherever the rest can still be judged."""

    def __init__(self) -> None:
        self.violations: list[Violation] = []

    def wrong(self, path: str, description: str) -> None:
        """There is this mistake at this place."""
        self.violations.append(Violation(path, description))

    def name(self, name: str, path: str, what: str) -> None:
        """`name` has to be one that can be read."""
        if not name.strip() or len(name) > MAX_NAME_CHARACTERS or not name.isprintable():
            self.wrong(path, f"{what} has 1 to {MAX_NAME_CHARACTERS} printable characters")

    def names(self, names: Sequence[str], path: str, what: str) -> None:
        """All of `names` have to be, and none comes twice."""
        for index, name in enumerate(names):
            self.name(name, f"{path}[{index}]", what)
            if name in names[:index]:
                self.wrong(f"{path}[{index}]", f'"{name}" comes twice')

    def event_name(self, name: str, path: str, one: str) -> None:
        """`name` has to be that of one event."""
        self.name(name, path, "the name of an event")
        if "*" in name:
            self.wrong(path, one)

    def value_name(self, name: str, path: str) -> None:
        """`name` has to be one that texts can write with a colon, and none that every run has by itself."""
        if len(name) > MAX_NAME_CHARACTERS or _VALUE_NAME.fullmatch(name) is None:
            self.wrong(path, "a value is named by letters, digits and underscores, a letter first")
        elif name in OWN_VALUES:
            self.wrong(path, "every run has this value by itself: choose another name")

    def text(self, text: str, path: str) -> RunText | None:
        """`text` has to be one of the segment language."""
        try:
            return read_text(text)
        except CdpError as error:
            self.wrong(path, error.message)
            return None

    def filter(self, text: str, path: str, who: str) -> FilterTree:
        """`text` has to be a filter that can be asked of an event at hand; `who` asks it."""
        try:
            tree = read_filter(text)
        except CdpError as error:
            self.wrong(path, error.message)
            return ()
        for attribute in attributes_in(tree):
            self.wrong(path, f'{who} knows only its event; ask for attribute "{attribute}" in a condition block')
        if reads_contacts_zone(tree):
            self.wrong(path, f"{who} knows no contact's zone; ask in a condition block")
        return tree
