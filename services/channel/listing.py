"""Pages over what is kept in memory, newest first, with tokens that stay valid while things are added."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.delivery.outbox import State
from services.runtime.definitions import Audit, Definitions
from services.runtime.pages import bad_page_token, number_of, page_entries


def message_page(
    order: Sequence[str], states: Mapping[str, State], wanted: State | None, page_size: int, page_token: str
) -> tuple[list[str], str]:
    """Message ids of one page and the next token, empty at the end. Raises INVALID/BAD_PAGE_TOKEN."""
    size = page_entries(page_size)
    below = min(len(order), number_of(page_token)) if page_token else len(order)
    found: list[str] = []
    for index in range(below - 1, -1, -1):
        if wanted is None or states[order[index]] is wanted:
            if len(found) == size:
                return found, str(index + 1)
            found.append(order[index])
    return found, ""


def audit_page(first: Definitions, second: Definitions, page_size: int, page_token: str) -> tuple[list[Audit], str]:
    """Changes of both kinds together. Raises INVALID/BAD_PAGE_TOKEN."""
    size = page_entries(page_size)
    parts = page_token.split(".") if page_token else ["", ""]
    if len(parts) != 2:
        raise bad_page_token()
    merged = sorted(
        (*first.audit(size, parts[0])[0], *second.audit(size, parts[1])[0]),
        key=lambda record: (-record.recorded_at_us, record.kind, -record.ordinal),
    )
    page = merged[:size]
    next_parts = list(parts)
    for record in page:
        next_parts[0 if record.kind == "template" else 1] = str(record.ordinal)
    more = len(merged) > size or any(
        definitions.audit(1, part)[0] for definitions, part in zip((first, second), next_parts, strict=True)
    )
    return page, ".".join(next_parts) if more else ""
