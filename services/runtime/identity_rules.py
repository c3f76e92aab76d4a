"""Rules about identifiers between their wire form and core, and the engine of their patterns."""

from __future__ import annotations

import re2

from cdp.facts.v1 import facts_pb2
from core.identity.rules import Matches
from core.identity.settings import Blocked, IdentitySettings, KindChange, SettingsChange, kinds_in_order


def search_pattern(text: str) -> Matches:
    """A search for the RE2 pattern `text`. Raises ValueError, saying why, for what is none."""
    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(text, options)
    except re2.error as error:
        raise ValueError(f"no RE2 pattern: {error}") from error

    def matches(value: str) -> bool:
        return compiled.search(value) is not None

    return matches


def rules_to_proto(settings: IdentitySettings) -> facts_pb2.IdentityRules:
    """The rules on the wire, kinds by priority."""
    return facts_pb2.IdentityRules(
        kinds=[
            facts_pb2.IdentifierKind(
                name=name,
                priority=rule.priority,
                limit=rule.limit,
                strong=rule.strong,
                known=rule.known,
                disabled=rule.disabled,
            )
            for name, rule in kinds_in_order(settings)
        ],
        moves_limit=settings.moves_limit,
        blocked=[_blocked_to_proto(one) for one in settings.blocked],
        etag=settings.etag,
    )


def change_from_proto(message: facts_pb2.IdentityRules) -> SettingsChange:
    """What is asked of the rules, not checked."""
    kinds = tuple(
        KindChange(one.name, one.priority, one.limit, one.strong, one.known, one.disabled) for one in message.kinds
    )
    blocked = tuple(Blocked(one.kind, one.value, one.pattern) for one in message.blocked)
    return SettingsChange(kinds, message.moves_limit, blocked, message.etag)


def _blocked_to_proto(one: Blocked) -> facts_pb2.BlockedIdentifier:
    if one.pattern:
        return facts_pb2.BlockedIdentifier(kind=one.kind, pattern=one.pattern)
    return facts_pb2.BlockedIdentifier(kind=one.kind, value=one.value)
