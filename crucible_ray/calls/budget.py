"""Money is reserved before it is spent: the driver's ledger, the client's purse. US dollars, by condition.

A ceiling is what the log says may have been spent at most. It is raised, in steps, before the reservations that need
it are made, so that after a crash nothing can have been spent that the log does not know of.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from math import fsum, inf

CEILING_STEP = 0.02
DUST_USD = 1e-12
"""Sums of floats differ by so much from what they should be."""


class Ledger:
    """The driver's account of one run."""

    def __init__(
        self,
        *,
        limit_usd: float = inf,
        condition_limit_usd: float = inf,
        conditions: int,
        scale_usd: float,
        spent_usd: Sequence[float] | None = None,
        other_usd: float = 0.0,
    ) -> None:
        """`scale_usd` is what ceiling steps are a share of: the budget, or the estimate.

        `spent_usd` by condition and `other_usd` (lost work of earlier runs) count as spent from the start.
        """
        self.limit_usd, self.condition_limit_usd = limit_usd, condition_limit_usd
        self.spent = list(spent_usd) if spent_usd is not None else [0.0] * conditions
        self.other_usd = other_usd
        self.outstanding = [0.0] * conditions
        self._step = CEILING_STEP * scale_usd
        self.ceiling_usd = self.spent_usd

    @property
    def spent_usd(self) -> float:
        """All money spent, lost attempts included."""
        return fsum(self.spent) + self.other_usd

    @property
    def committed_usd(self) -> float:
        """Spent, or in clients' purses."""
        return self.spent_usd + fsum(self.outstanding)

    def affords(self, amounts: Sequence[float]) -> bool:
        """Whether these amounts by condition can still be committed."""
        if self.committed_usd + fsum(amounts) > self.limit_usd + DUST_USD:
            return False
        return all(
            s + o + a <= self.condition_limit_usd + DUST_USD
            for s, o, a in zip(self.spent, self.outstanding, amounts, strict=True)
            if a
        )

    def room_usd(self, condition: int) -> float:
        """What can still be committed to a condition."""
        own = self.condition_limit_usd - self.spent[condition] - self.outstanding[condition]
        return max(0.0, min(own, self.limit_usd - self.committed_usd))

    def ceiling_needed(self) -> float | None:
        """The ceiling that the log must hold before what is committed may leave; None: it holds enough."""
        needed = self.committed_usd
        if needed <= self.ceiling_usd + DUST_USD:
            return None
        return max(needed, min(self.limit_usd, needed + self._step))

    def lower_ceiling(self) -> float:
        """The ceiling that the next entry of the log is to hold: down to a step above what is committed.

        From this call on more is granted only above the lower one, which makes a raise of it necessary first.
        """
        near = min(self.limit_usd, self.committed_usd + self._step)
        if self.ceiling_usd > near + self._step:
            self.ceiling_usd = near
        return self.ceiling_usd

    def grant(self, amounts: Sequence[float]) -> None:
        """Commit `amounts` to a client."""
        for k, amount in enumerate(amounts):
            self.outstanding[k] += amount

    def settle(self, spent: Sequence[float], freed: Sequence[float]) -> None:
        """A client spent, and holds so much less than before: less than it spent where a call cost more than its bound."""
        for k, (s, f) in enumerate(zip(spent, freed, strict=True)):
            self.spent[k] += s
            self.outstanding[k] = max(0.0, self.outstanding[k] - f)

    def lost(self, held: Sequence[float]) -> None:
        """A client died with `held` in its purse. Any of it may have been spent since its last report, so all counts as spent."""
        for k, amount in enumerate(held):
            self.outstanding[k] = max(0.0, self.outstanding[k] - amount)
        self.other_usd += fsum(held)


class Purse:
    """A client's money: allowances come in, calls reserve and settle, the rest is handed back."""

    def __init__(self, conditions: int) -> None:
        self.metered = False
        self._free = [0.0] * conditions
        self._spent = [0.0] * conditions
        self._waiting: list[deque[tuple[float, Callable[[bool], None]]]] = [
            deque() for _ in range(conditions)
        ]

    def credit(self, amounts: Sequence[float]) -> None:
        """An allowance arrived; whoever waits for money is served first."""
        if not amounts:
            return
        self.metered = True
        for k, amount in enumerate(amounts):
            self._free[k] += amount
            self._serve(k)

    def try_reserve(self, condition: int, amount: float) -> bool:
        """Set `amount` aside for one attempt, if it is there and nobody waited longer."""
        if not self.metered:
            return True
        if self._waiting[condition] or self._free[condition] + DUST_USD < amount:
            return False
        self._free[condition] -= amount
        return True

    def wait(
        self, condition: int, amount: float, answer: Callable[[bool], None], *, begun: bool = False
    ) -> None:
        """Ask to be told when `amount` was set aside (True), or that no money will come (False).

        begun: for a trial that has spent already; it comes before those that have not.
        """
        if begun:
            self._waiting[condition].appendleft((amount, answer))
        else:
            self._waiting[condition].append((amount, answer))

    def settle(self, condition: int, reserved: float, spent: float) -> None:
        """An attempt ended."""
        self._spent[condition] += spent
        if self.metered:
            self._free[condition] += reserved - spent
            self._serve(condition)

    def refuse(self) -> None:
        """No money will come: everybody who waits is told."""
        for queue in self._waiting:
            while queue:
                queue.popleft()[1](False)

    @property
    def wanted(self) -> tuple[float, ...]:
        """By condition, what calls wait for beyond what is free."""
        return tuple(
            max(0.0, fsum(a for a, _ in queue) - max(0.0, free))
            for queue, free in zip(self._waiting, self._free, strict=True)
        )

    def report(self, earmarked: Sequence[float]) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """(spent, released) since the last report; `earmarked` stays here for trials not yet started."""
        spent, self._spent = tuple(self._spent), [0.0] * len(self._spent)
        if not self.metered:
            return spent, tuple(0.0 for _ in spent)
        released = []
        for k, (free, kept) in enumerate(zip(self._free, earmarked, strict=True)):
            surplus = 0.0 if self._waiting[k] else max(0.0, free - kept)
            self._free[k] -= surplus
            released.append(surplus)
        return spent, tuple(released)

    def _serve(self, condition: int) -> None:
        queue = self._waiting[condition]
        while queue and self._free[condition] + DUST_USD >= queue[0][0]:
            amount, answer = queue.popleft()
            self._free[condition] -= amount
            answer(True)
