"""What a condition says of every contact, whatever the scope."""

from __future__ import annotations

from dataclasses import dataclass

from core.index.contact_set import ContactSet


@dataclass(frozen=True, slots=True)
class LeafResult:
    """The contacts for which a condition holds: `found`, or (`complement`) everyone else. So negative forms and
    conditions that hold for those without any event cost no set of everyone, and results are shared between scopes."""

    found: ContactSet
    complement: bool = False

    def within(self, scope: ContactSet) -> ContactSet:
        """The members among `scope`."""
        return scope - self.found if self.complement else scope & self.found
