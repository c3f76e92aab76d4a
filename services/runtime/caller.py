"""Who calls: the workspace and scope behind a key, as a context variable of the call."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum

from core.errors import CdpError, Code


class Scope(Enum):
    """What a key may do. Values are those of cdp.workspace.v1.Scope; INTERNAL is for services only."""

    WRITE = 1
    READ = 2
    FULL = 3
    ADMIN = 4
    INTERNAL = 5


_PERMITS: dict[Scope, frozenset[Scope]] = {
    Scope.WRITE: frozenset({Scope.WRITE}),
    Scope.READ: frozenset({Scope.READ}),
    Scope.FULL: frozenset({Scope.WRITE, Scope.READ, Scope.FULL}),
    Scope.ADMIN: frozenset({Scope.WRITE, Scope.READ, Scope.FULL, Scope.ADMIN}),
    Scope.INTERNAL: frozenset(Scope),
}


@dataclass(frozen=True, slots=True)
class Workspace:
    """One customer company: its id, its bucket (0 to 255), its IANA zone."""

    id: str
    display_name: str
    zone: str
    currency: str
    bucket: int
    created_at_us: int


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller. `workspace` is None only for internal calls that speak of no workspace. A caller with
    `origins` is a page in somebody's browser, of one of these origins."""

    optional_workspace: Workspace | None
    scope: Scope
    key_id: str
    key_name: str
    origins: tuple[str, ...] = ()

    @property
    def workspace(self) -> Workspace:
        """The caller's workspace. Raises UNAUTHENTICATED for an internal call that named none."""
        if self.optional_workspace is None:
            raise CdpError(Code.UNAUTHENTICATED, "NO_WORKSPACE", "the internal call names no workspace")
        return self.optional_workspace

    @property
    def internal(self) -> bool:
        """True for calls from other services."""
        return self.scope is Scope.INTERNAL

    def require(self, needed: Scope) -> None:
        """Raise FORBIDDEN when this caller's scope does not permit `needed`."""
        if needed not in _PERMITS[self.scope]:
            raise CdpError(
                Code.FORBIDDEN,
                "SCOPE_TOO_NARROW",
                f"this call needs a key of scope {needed.name.lower()}, yours has {self.scope.name.lower()}",
            )


CALLER: ContextVar[Caller] = ContextVar("cdp_caller")


def caller() -> Caller:
    """The caller of the RPC being handled. Raises LookupError outside of one."""
    return CALLER.get()
