"""Pages: their size, and what is no token."""

from __future__ import annotations

import pytest

from core.errors import CdpError, Code
from services.runtime.pages import number_of, page_entries


@pytest.mark.parametrize(("asked", "entries"), [(0, 100), (1, 1), (1_000, 1_000), (1_001, 1_000), (2**32 - 1, 1_000)])
def test_a_page_has_what_is_asked_within_bounds(asked: int, entries: int) -> None:
    assert page_entries(asked) == entries


def test_a_token_is_a_number() -> None:
    assert (number_of("0"), number_of("42"), number_of("9" * 18)) == (0, 42, 10**18 - 1)


@pytest.mark.parametrize("text", ["", "-1", "+1", " 1", "1_0", "x", "²", "٣", "9" * 19, "9" * 5_000])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(CdpError) as caught:
        number_of(text)
    assert (caught.value.code, caught.value.reason) == (Code.INVALID, "BAD_PAGE_TOKEN")
