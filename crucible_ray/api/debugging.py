"""`breakpoint()` in an author's function: others are told of it, and it stops where it was written."""

from __future__ import annotations

import os
import pdb
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def at_breakpoints(tell: Callable[[], object]) -> Iterator[None]:
    """While the block lasts, `tell` is called before a debugger takes over. Blocks may stand in one another."""
    hook = sys.breakpointhook

    def enter(*args: Any, **options: Any) -> Any:
        tell()
        chosen = os.environ.get("PYTHONBREAKPOINT", "")
        # Ray leaves its own choice in the environment of whatever is started beside it; it works in Ray's workers alone.
        if hook is not sys.__breakpointhook__ or (chosen and not chosen.startswith("ray.")):
            return hook(*args, **options)
        # The plain hook would stop in here: what is meant is the first frame that is none of these blocks'.
        frame = sys._getframe(1)
        while frame.f_code is enter.__code__ and frame.f_back is not None:
            frame = frame.f_back
        pdb.Pdb().set_trace(frame)
        return None

    sys.breakpointhook = enter
    try:
        yield
    finally:
        sys.breakpointhook = hook
