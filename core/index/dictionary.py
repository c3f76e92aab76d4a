"""Texts as numbers: every text of a workspace is kept once, columns hold its code."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable

import numpy as np
from numpy.typing import NDArray

from core.kernels.ranges import sorted_unique

#: How many predicates remember their answers; each costs one byte per text.
_TABLES = 64
_UNKNOWN, _FALSE, _TRUE = 0, 1, 2


class TextDictionary:
    """Codes (uint32, dense, in order of arrival) of texts. It only grows, so that roots share it with the writer:
    codes that a root holds never change their meaning.

    Answers of predicates are remembered per text; a lost race between readers only repeats work.
    """

    def __init__(self, texts: Iterable[str | None] = ()) -> None:
        """`texts` in the order of their codes; None is a code whose text is gone."""
        self._texts: list[str | None] = list(texts)
        self._codes: dict[str, int] = {text: code for code, text in enumerate(self._texts) if text is not None}
        self._tables: dict[Hashable, NDArray[np.uint8]] = {}

    def __len__(self) -> int:
        return len(self._texts)

    def add(self, text: str) -> int:
        """The code of `text`, new or known."""
        code = self._codes.get(text)
        if code is None:
            code = self._codes[text] = len(self._texts)
            self._texts.append(text)
        return code

    def add_all(self, texts: Iterable[str]) -> NDArray[np.uint32]:
        """The codes of `texts`, in their order."""
        known = self._codes
        codes = []
        for text in texts:
            code = known.get(text)
            if code is None:
                code = known[text] = len(self._texts)
                self._texts.append(text)
            codes.append(code)
        return np.array(codes, np.uint32)

    def code(self, text: str) -> int | None:
        """The code of `text`, or None where no fact ever held it."""
        return self._codes.get(text)

    def text(self, code: int) -> str:
        """The text behind `code`. Raises KeyError for a text that is gone."""
        text = self._texts[code]
        if text is None:
            raise KeyError(code)
        return text

    def keep_only(self, used: NDArray[np.bool_]) -> None:
        """Forget the texts whose code is not `used`; what still holds such a code (an earlier root, a list that is
        nobody's) reads "" from now on. Codes beyond `used` stay. For the writer."""
        for code in np.flatnonzero(~used).tolist():
            text = self._texts[code]
            if text:
                del self._codes[text]
                self._texts[code] = ""

    def texts(self) -> list[str]:
        """All texts in the order of their codes, "" for those that are gone; a new list."""
        return [text or "" for text in self._texts]

    def test(self, key: Hashable, predicate: Callable[[str], bool], codes: NDArray[np.uint32]) -> NDArray[np.bool_]:
        """`predicate` of the text of each of `codes`; it is called once per distinct text, ever.

        `key` names the predicate: equal keys must mean equal predicates.
        """
        if len(codes) == 0:
            return np.zeros(0, np.bool_)
        table = self._table(key, int(codes.max()) + 1)
        answers = table[codes]
        unknown = codes[answers == _UNKNOWN]
        if len(unknown) == 0:
            return np.asarray(answers == _TRUE, np.bool_)
        for code in sorted_unique(unknown).tolist():
            table[code] = _TRUE if predicate(self.text(code)) else _FALSE
        return np.asarray(table[codes] == _TRUE, np.bool_)

    def _table(self, key: Hashable, needed: int) -> NDArray[np.uint8]:
        table = self._tables.get(key)
        if table is None or len(table) < needed:
            grown = np.zeros(max(needed, len(self._texts) + len(self._texts) // 2), np.uint8)
            if table is not None:
                grown[: len(table)] = table
            table = grown
            if key not in self._tables and len(self._tables) >= _TABLES:
                self._tables.pop(next(iter(self._tables)), None)
            self._tables[key] = table
        return table
