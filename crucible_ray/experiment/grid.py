"""Trials as numbers, and their seeded order computed on the fly.

`block = item * repeats + repeat` and `trial = block * conditions + condition`. The run's order is a permutation of
blocks by a Feistel network with cycle walking (Black and Rogaway 2002, "Ciphers with arbitrary finite domains"):
nothing is materialised, a grid of a billion blocks costs as much memory as one of ten.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from crucible_ray.experiment.plan import Plan

Ints = NDArray[np.int64]
_Words = NDArray[np.uint64]

_ROUNDS = 6


def derive(seed: int, *labels: object) -> int:
    """A 64-bit key for one purpose of a seed, the same on every machine."""
    text = "\x1f".join([str(seed), *map(str, labels)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _mix(words: _Words) -> _Words:
    """The finaliser of splitmix64 (Steele, Lea and Flood 2014)."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


class Order:
    """The planned order of a grid: a rank for each block, a place for each condition within its block."""

    def __init__(
        self, *, blocks: int, conditions: int, seed: int, randomize: bool = True, together: int = 1
    ) -> None:
        """together: so many blocks in a row (an item's repeats) keep together; `blocks` is a multiple of it."""
        self.blocks, self.conditions, self.randomize = blocks, conditions, randomize
        self._together = together
        self._groups = blocks // together
        self._half = np.uint64(max(1, ((max(self._groups, 2) - 1).bit_length() + 1) // 2))
        self._low = np.uint64((1 << int(self._half)) - 1)
        self._keys = [np.uint64(derive(seed, "order", r)) for r in range(_ROUNDS)]
        self._place_keys = np.array([derive(seed, "place", c) for c in range(conditions)], np.uint64)

    def blocks_at(self, ranks: Ints) -> Ints:
        """Which blocks stand at these ranks; shapes [n] and [n]."""
        return self._walk(ranks, self._keys)

    def ranks_of(self, blocks: Ints) -> Ints:
        """At which ranks these blocks stand: the inverse of `blocks_at`."""
        return self._walk(blocks, self._keys[::-1], inverse=True)

    def items_at(self, ranks: Ints) -> Ints:
        """Which items stand at these ranks, where an item's blocks keep together; shape [n]."""
        return self.blocks_at(ranks * self._together) // self._together

    def conditions_of(self, blocks: Ints) -> Ints:
        """In which order each block's conditions are started; shape [n, conditions]."""
        if not self.randomize:
            return np.broadcast_to(np.arange(self.conditions), (len(blocks), self.conditions))
        with np.errstate(over="ignore"):
            keys = _mix(blocks.astype(np.uint64)[:, None] ^ self._place_keys[None, :])
        return np.argsort(keys, axis=1, kind="stable").astype(np.int64)

    def trials_at(self, ranks: Ints) -> Ints:
        """The trials of the blocks at these ranks, in planned order; shape [n, conditions]."""
        blocks = self.blocks_at(ranks)
        return blocks[:, None] * self.conditions + self.conditions_of(blocks)

    def positions_of(self, trials: Ints) -> Ints:
        """The planned place of each trial in the whole run, from 0; shape [n]."""
        blocks, condition = np.divmod(trials, self.conditions)
        place = np.argsort(self.conditions_of(blocks), axis=1, kind="stable")
        return self.ranks_of(blocks) * self.conditions + place[np.arange(len(trials)), condition]

    def _walk(self, values: Ints, keys: list[np.uint64], *, inverse: bool = False) -> Ints:
        if not self.randomize:
            return values.astype(np.int64)
        if self._together == 1:
            return self._walk_groups(values, keys, inverse=inverse)
        groups, within = np.divmod(values, self._together)
        return self._walk_groups(groups, keys, inverse=inverse) * self._together + within

    def _walk_groups(self, values: Ints, keys: list[np.uint64], *, inverse: bool) -> Ints:
        words = self._feistel(values.astype(np.uint64), keys, inverse=inverse)
        # A result outside the domain is enciphered again until it falls inside: the domain is less than
        # four times the grid, so this ends after a few steps.
        outside = np.flatnonzero(words >= self._groups)
        while outside.size:
            words[outside] = self._feistel(words[outside], keys, inverse=inverse)
            outside = outside[words[outside] >= self._groups]
        return words.astype(np.int64)

    def _feistel(self, words: _Words, keys: list[np.uint64], *, inverse: bool) -> _Words:
        left, right = words >> self._half, words & self._low
        with np.errstate(over="ignore"):
            for key in keys:
                if inverse:
                    left, right = right ^ (_mix(left ^ key) & self._low), left
                else:
                    left, right = right, left ^ (_mix(right ^ key) & self._low)
        return (left << self._half) | right


def order_of(plan: Plan) -> Order:
    """The seeded order of a plan's grid."""
    return Order(
        blocks=plan.items * plan.repeats,
        conditions=len(plan.conditions),
        seed=plan.seed,
        randomize=plan.randomize,
        # Only what is complete counts: an item whose repeats lie all over the run would count at its end.
        together=1 if plan.stop_when is None else plan.repeats,
    )
