"""How much may be in work at once, and how much of that by one workspace: so that none takes all the room."""

from __future__ import annotations


class Shares:
    """Counts what is in work, by name. `most` is the room of all together, half of it (at least 1) that of one name.

    Amounts are whatever the caller counts: calls, or bytes.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.total = 0
        self._of: dict[str, int] = {}

    @property
    def share(self) -> int:
        """The most that one name may have in work."""
        return max(1, self.most // 2)

    def of(self, name: str) -> int:
        """What `name` has in work."""
        return self._of.get(name, 0)

    def take(self, name: str, amount: int = 1) -> bool:
        """Take room for `amount`; False, and nothing is taken, where it does not fit."""
        after = self._of.get(name, 0) + amount
        if after > self.share or self.total + amount > self.most:
            return False
        if amount:
            self._of[name] = after
            self.total += amount
        return True

    def give_back(self, name: str, amount: int = 1) -> None:
        """Give back what was taken."""
        if not amount:
            return
        left = self._of[name] - amount
        if left < 0:
            raise ValueError(f"{-left} more given back than taken")
        if left:
            self._of[name] = left
        else:
            del self._of[name]  # names come and go; only those in work are kept
        self.total -= amount

    def move(self, amount: int, before: str, after: str) -> bool:
        """Count `amount` of one name for another one; False, and it stays where it was, where that has no room."""
        if before == after or not amount:
            return True
        if self._of.get(after, 0) + amount > self.share:
            return False
        self.give_back(before, amount)
        return self.take(after, amount)
