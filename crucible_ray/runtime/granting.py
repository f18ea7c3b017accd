"""What a client gets next: trials by its pace, money by its trials, and suspects alone. Pure; it commits what it hands out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from crucible_ray.calls.budget import DUST_USD, Ledger
from crucible_ray.records import Grant, Report
from crucible_ray.runtime.frontier import Frontier
from crucible_ray.runtime.pacing import Pace

_NEVER_USD = 1e18
"""More than any budget: a condition of which no trial is started any more."""


class Hand:
    """What is known of one client, as of its last report."""

    def __init__(self, windows: Sequence[int], conditions: int) -> None:
        self.paces = [Pace(window) for window in windows]
        self.unstarted = (0,) * len(windows)
        self.in_flight = (0,) * len(windows)
        self.waiting = 0
        self.wanted = (0.0,) * conditions
        self.held = [0.0] * conditions
        """Money granted and not yet reported as spent or released."""


class Granting:
    """Decides over frontier and ledger for all clients of a run."""

    def __init__(
        self,
        frontier: Frontier,
        ledger: Ledger,
        *,
        clients: int,
        windows: Sequence[int],
        bounds_usd: Sequence[float],
        open_ended: Collection[int] = (),
    ) -> None:
        """`bounds_usd`: by condition, what one trial's first attempts cost at most; empty: money is not metered.

        open_ended: conditions whose trials may want more than their bound (functions).
        """
        self._frontier, self._ledger = frontier, ledger
        self._windows, self._bounds, self._open_ended = windows, list(bounds_usd), open_ended
        self._conditions = frontier.order.conditions
        self._hands = [Hand(windows, self._conditions) for _ in range(clients)]
        self._quarantine: int | None = None

    def born(self, client: int) -> None:
        """A fresh client holds nothing."""
        self._hands[client] = Hand(self._windows, self._conditions)

    def heard(self, client: int, report: Report, finished: Sequence[int], *, now_s: float) -> None:
        """A report came in; `finished` trials by lane."""
        hand = self._hands[client]
        for lane, pace in enumerate(hand.paces):
            pace.on_report(finished[lane], now_s=now_s)
        self._frontier.give_back(client, report.returned)
        freed = [
            min(held, spent + released)
            for held, spent, released in zip(hand.held, report.spent_usd, report.released_usd, strict=True)
        ]
        self._ledger.settle(report.spent_usd, freed)
        hand.held = [held - amount for held, amount in zip(hand.held, freed, strict=True)]
        hand.unstarted, hand.in_flight = report.unstarted, report.in_flight
        hand.waiting, hand.wanted = report.waiting, report.wanted_usd

    def died(self, client: int) -> list[int]:
        """A client is dead. Returns the trials that have now killed their client for good."""
        self._ledger.lost(self._hands[client].held)
        self.born(client)
        if self._quarantine == client:
            self._quarantine = None
        return self._frontier.died(client)

    def work(self, client: int) -> tuple[list[Grant], list[float]]:
        """(grants, money by condition) for a client now; committed here, before anybody else can have them."""
        amounts = [0.0] * self._conditions
        grants: list[Grant] = []
        hand = self._hands[client]
        if self._bounds and any(payable := self._payable(hand.wanted)):
            amounts = payable
            hand.wanted = (0.0,) * self._conditions
            self._commit(hand, amounts)
        if self._quarantined(client):
            if not self._frontier.out_with(client) and self._affords_suspects():
                self._add(client, self._frontier.take_suspects(client), grants, amounts)
            return grants, amounts
        wanted = [
            pace.wanted(hand.unstarted[lane], hand.in_flight[lane]) for lane, pace in enumerate(hand.paces)
        ]
        # A lane that may not get far ahead of another goes on where that one has had its share.
        filled = True
        while filled:
            filled = False
            for lane in range(len(wanted)):
                filled |= self._fill(client, lane, wanted, grants, amounts)
        return grants, amounts

    def _fill(
        self, client: int, lane: int, wanted: list[int], grants: list[Grant], amounts: list[float]
    ) -> bool:
        """Grant what a lane wants, as far as it may have it now; False: nothing."""
        before = len(grants)
        while wanted[lane] > 0 and self._frontier.has_work(lane):
            most = self._affordable(lane, wanted[lane])
            grant = self._frontier.take(client, lane, most) if most else None
            if grant is None:
                break
            wanted[lane] -= self._add(client, grant, grants, amounts)
        return len(grants) > before

    def _payable(self, wanted: Sequence[float]) -> list[float]:
        """What of the wanted money there is: all of it, or as much of a function's as is left."""
        if self._ledger.affords(wanted):
            return list(wanted)
        for condition in self._open_ended:
            part = min(wanted[condition], self._ledger.room_usd(condition))
            if part > DUST_USD:
                return [part if k == condition else 0.0 for k in range(self._conditions)]
        return [0.0] * self._conditions

    def low_water(self, client: int) -> tuple[int, ...]:
        """By lane: how few queued trials are a reason to ask for more; -1 where there is nothing more to have."""
        hand = self._hands[client]
        if self._quarantine == client:
            return (-1,) * len(hand.paces)
        return tuple(
            pace.low_water if self._frontier.has_work(lane) and self._affordable(lane, 1) else -1
            for lane, pace in enumerate(hand.paces)
        )

    def affords_anything(self) -> bool:
        """Whether any trial that is left can still be granted."""
        lanes = range(len(self._windows))
        return self._affords_suspects() or any(
            self._frontier.has_work(lane) and self._affordable(lane, 1) for lane in lanes
        )

    def must_refuse(self) -> bool:
        """Whether everything in flight waits for money, and there is none."""
        waiting = [hand for hand in self._hands if hand.waiting]
        in_flight = sum(sum(hand.in_flight) for hand in self._hands)
        if not waiting or sum(hand.waiting for hand in waiting) < in_flight:
            return False
        # Whoever waits and wants nothing was granted it just now: its next report is not in yet.
        if any(not any(hand.wanted) or self._ledger.affords(hand.wanted) for hand in waiting):
            return False
        for condition in self._open_ended:
            # Its bound would let the same trial start again, and wait again, for ever.
            if any(hand.wanted[condition] for hand in waiting):
                self._bounds[condition] = _NEVER_USD
        return True

    def any_waiting(self) -> bool:
        """Whether any call waits for money."""
        return any(hand.waiting for hand in self._hands)

    def _quarantined(self, client: int) -> bool:
        """Whether this client runs suspects, with nothing else, until none is left that the budget covers."""
        waiting = self._affords_suspects()
        if self._quarantine is None and waiting:
            self._quarantine = client
        if self._quarantine != client:
            return False
        if not waiting and not self._frontier.out_with(client):
            self._quarantine = None
            return False
        return True

    def _add(self, client: int, grant: Grant, grants: list[Grant], amounts: list[float]) -> int:
        """Add a grant and the money that it needs; returns its trials."""
        grants.append(grant)
        blocks = sum(stop - start for start, stop in grant.spans)
        counts = Counter(trial % self._conditions for trial in grant.trials)
        for condition in self._frontier.lanes[grant.lane]:
            counts[condition] += blocks
        if self._bounds:
            cost = self._cost(counts)
            self._commit(self._hands[client], cost)
            for k, amount in enumerate(cost):
                amounts[k] += amount
        return counts.total()

    def _cost(self, counts: Counter[int]) -> list[float]:
        return [counts[k] * self._bounds[k] for k in range(self._conditions)]

    def _commit(self, hand: Hand, amounts: Sequence[float]) -> None:
        self._ledger.grant(amounts)
        for k, amount in enumerate(amounts):
            hand.held[k] += amount

    def _affordable(self, lane: int, most: int) -> int:
        """How many of the next trials of a lane the budget covers; a block that it does not cover whole is split."""
        if not self._bounds:
            return most
        lane_conditions = self._frontier.lanes[lane]
        if self._frontier.next_single(lane) is None:
            width = len(lane_conditions)
            blocks = max(1, most // width)
            while blocks and not self._ledger.affords(
                self._cost(Counter(dict.fromkeys(lane_conditions, blocks)))
            ):
                blocks //= 2
            if blocks:
                return blocks * width
            self._frontier.split_next_block(lane)
        single = self._frontier.next_single(lane)
        if single is None:
            return 0
        dearest = max(lane_conditions, key=lambda k: self._bounds[k])
        while most > 1:
            if self._ledger.affords(self._cost(Counter({dearest: most}))):
                return most
            most //= 2
        return int(self._ledger.affords(self._cost(Counter([single % self._conditions]))))

    def _affords_suspects(self) -> bool:
        """Whether a group of suspects can be granted; one that the budget does not cover is made smaller."""
        while group := self._frontier.next_suspects():
            if not self._bounds or self._ledger.affords(
                self._cost(Counter(t % self._conditions for t in group))
            ):
                return True
            if len(group) == 1:
                return False
            self._frontier.halve_suspects()
        return False
