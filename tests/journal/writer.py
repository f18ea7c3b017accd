"""A process that writes to a log on disk until it is killed, and says each number once it is durable."""

from __future__ import annotations

import asyncio
import sys
from itertools import count
from pathlib import Path

from crucible_ray.journal.disk import DiskLog
from tests.journal.making import opened, row, table


async def main(folder: Path, writer: str) -> None:
    journal = await opened(DiskLog(folder), writer)
    rows = table(*(row(k, prediction=f"{k}" * 200) for k in range(500)))
    for _ in count():
        number = await journal.append_rows([rows], 0.0)
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
