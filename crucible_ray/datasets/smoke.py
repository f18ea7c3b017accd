"""`test_dataset`: a thousand one-line sums, made when they are asked for; for trials of the machinery."""

from __future__ import annotations

from typing import Final

from crucible_ray.records import Item

SIZE: Final = 1000


def smoke_items() -> list[Item]:
    """`What is a + b?`, the answer a number; ids count from 0. Any two ask different sums."""
    items = []
    for number in range(SIZE):
        a, b = 2 + number % 40, 3 + number // 40
        items.append(
            Item(
                id=str(number), input=f"What is {a} + {b}?", expected=str(a + b), topic="sums", parse="number"
            )
        )
    return items
