"""What one HTTP request takes of the room of its process: itself, and the bytes of its body."""

from __future__ import annotations

from starlette.requests import Request

from core.errors import CdpError, Code
from services.runtime.shares import Shares

OVERLOADED = "OVERLOADED"

_RETRY_AFTER_S = 1.0
#: Where a request's place stands in its scope.
_KEY = "cdp.place"
#: In whose name a request is counted until its key was read: with a key in its header that is at once, but the key of
#: a page stands in its body, which may take its time. No workspace is called so.
_WITH_KEY = "*"
_STRANGERS = ""


class Place:
    """Counted among the strangers first, then for the workspace of its key."""

    def __init__(self, requests: Shares, held: Shares, *, with_key: bool) -> None:
        """`requests` and `held` (bytes) are the room of all; `with_key`: the key stands in the header."""
        self._requests = requests
        self._held = held
        self._name = _WITH_KEY if with_key else _STRANGERS
        self._bytes = 0

    def enter(self) -> None:
        """Take the room of one request. Raises EXHAUSTED / OVERLOADED."""
        if not self._requests.take(self._name):
            raise _overloaded("too many requests at once")

    def belongs_to(self, workspace: str) -> None:
        """From here on it is counted for `workspace`. Raises EXHAUSTED / OVERLOADED where that has no room left."""
        before = self._name
        if not self._requests.move(1, before, workspace):
            raise _overloaded("this workspace has too many requests in work at once")
        if not self._held.move(self._bytes, before, workspace):
            self._requests.move(1, workspace, before)
            raise _overloaded("this workspace has too many bytes in work at once")
        self._name = workspace

    def hold(self, size_bytes: int) -> None:
        """Take the room of so many bytes more. Raises EXHAUSTED / OVERLOADED."""
        if not self._held.take(self._name, size_bytes):
            raise _overloaded("too many bytes wait to be read")
        self._bytes += size_bytes

    def leave(self) -> None:
        """Give everything back."""
        self._requests.give_back(self._name)
        self._held.give_back(self._name, self._bytes)


def put_place(request: Request, place: Place) -> None:
    """Give a request its place."""
    request.scope[_KEY] = place


def place_of(request: Request) -> Place:
    """The place of a request that a door let in."""
    place = request.scope[_KEY]
    assert isinstance(place, Place)
    return place


def _overloaded(what: str) -> CdpError:
    return CdpError(Code.EXHAUSTED, OVERLOADED, f"{what}, try again soon", retry_after_s=_RETRY_AFTER_S)
