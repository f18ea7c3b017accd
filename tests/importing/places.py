"""Where the tools' logs lie, unpacked."""

from __future__ import annotations

import zipfile
from pathlib import Path

LOGS = Path(__file__).parent / "logs"


def unpacked(name: str, folder: Path) -> Path:
    """The logs of `name.zip`, in a folder of their own."""
    with zipfile.ZipFile(LOGS / f"{name}.zip") as packed:
        packed.extractall(folder / name)
    return folder / name
