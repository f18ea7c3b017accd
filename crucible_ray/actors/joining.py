"""What can be known before a cluster is joined: whether anything answers there, and how Ray would authenticate.

A wrong token costs Ray twenty seconds of log lines and a bare ConnectionError, so it is looked for first.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path

_CONNECT_S = 3.0
_TOKEN_FILE = Path("~/.ray/auth_token")
TOKEN_MEND = (
    "a cluster of Ray 2.60 or newer asks for a token: set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN (or "
    "RAY_AUTH_TOKEN_PATH) to the head node's, or RAY_AUTH_MODE=disabled for a cluster without one"
)


def join_problem(address: str, env: Mapping[str, str]) -> str | None:
    """Why joining the cluster at `address` would fail, with the mend; None: nothing speaks against it.

    address: `auto`, `host:port`, or what else Ray understands, of which nothing is known beforehand.
    """
    return _token_problem(env) or _address_problem(address)


def _token_problem(env: Mapping[str, str]) -> str | None:
    mode = env.get("RAY_AUTH_MODE", "token").lower()
    if mode != "token":
        return None
    if path := env.get("RAY_AUTH_TOKEN_PATH"):
        return None if Path(path).is_file() else f"RAY_AUTH_TOKEN_PATH names {path}, which is no file"
    if env.get("RAY_AUTH_TOKEN") or _TOKEN_FILE.expanduser().is_file():
        return None
    return f"no token is there; {TOKEN_MEND}"


def _address_problem(address: str) -> str | None:
    host, colon, port = address.rpartition(":")
    if not colon or "/" in address:
        return None
    if not port.isdigit():
        return f"{address!r} is no address: write host:port, usually with port 6379"
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_S):
            return None
    except OSError as error:
        why = error.strerror or str(error)
        return f"nothing answers at {address} ({why}): is it the head node's address, usually with port 6379?"
