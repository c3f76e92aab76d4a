"""What the services of tests that only answer gRPC calls have in common."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.routing import BaseRoute


class PassiveService:
    """A service with no HTTP routes and no work of its own, always ready."""

    def http_routes(self) -> Sequence[BaseRoute]:
        """None."""
        return ()

    async def start(self) -> None:
        """Nothing to start."""

    def ready(self) -> bool:
        """Always."""
        return True

    async def stop(self) -> None:
        """Nothing to stop."""
