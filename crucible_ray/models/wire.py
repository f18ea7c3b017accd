"""What every wire format is, and what several of them share.

A format is a module (`openai`, `anthropic`, `google`) with the functions of `Wire`: pure, no connection, no
clock. What a failure means is decided by `refusals` for all of them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Protocol, TypeAlias
from urllib.parse import SplitResult, urlsplit

import msgspec

from crucible_ray.errors import SpecError
from crucible_ray.experiment.plan import CallPlan
from crucible_ray.models.transport import Response
from crucible_ray.records import Limits, Message, Reply

Count: TypeAlias = int | float | None
"""Some servers write whole numbers as 12.0."""
NO_ERROR = msgspec.Raw()
_MOST_TOKENS = 10**12
_MINUTE_S = 60.0

encode = msgspec.json.Encoder(order="deterministic").encode
FIXED_HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json",
    "User-Agent": "crucible-ray",
}


class Wire(Protocol):
    """One provider's way to ask for a completion."""

    def url(self, base_url: str, model: str) -> str:
        """Where completions are asked for. Raises SpecError where `base_url` is no address or holds a user."""
        ...

    def headers(self, key: str | None, base_url: str) -> dict[str, str]:
        """The headers of every request."""
        ...

    def frame(self, call: CallPlan) -> tuple[bytes, bytes]:
        """What stands before and after the conversation in every body of `call`.

        Options that are not set are not sent. Keys of `extra` win; their order does not matter.
        Raises SpecError for keys of `extra` that cannot be sent, or for an option that the format has to have.
        """
        ...

    def turns(self, messages: Sequence[Message]) -> bytes:
        """The conversation, as it stands between the two parts of the frame."""
        ...

    def decode(self, response: Response, *, now_s: float, key: str | None = None) -> Reply:
        """The reply, or a ModelError that says what went wrong.

        now_s: seconds since 1970, for a Retry-After that is a date and a server that sends none of its own.
        key: never shown in an error, even if the server repeats it.
        """
        ...

    def limits_from(self, response: Response) -> Limits:
        """What a response says about limits a minute; None where it means a day, or nothing."""
        ...

    def largest_output(self, call: CallPlan) -> int | None:
        """Tokens, over all the completions that a request of `call` asks for; None: unknown."""
        ...


def address(base_url: str) -> SplitResult:
    """A base URL in its parts. Raises SpecError, which never shows a password."""
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SpecError(("base_url has to begin with http:// or https:// and name a host.",))
    if parts.username is not None:
        raise SpecError(
            (f"The base_url at {parts.hostname} holds a user name: put the key into its variable.",)
        )
    return parts


def refuse_reserved(call: CallPlan, names: Iterable[str]) -> None:
    """Raises SpecError for keys of `extra` that the format needs for itself."""
    reserved = sorted(set(names) & call.extra.keys())
    if reserved:
        raise SpecError((f"{call.model.name}: extra cannot hold {', '.join(reserved)}.",))


def parted(messages: Sequence[Message]) -> tuple[str | None, list[tuple[str, list[str]]]]:
    """(system prompt, turns): what formats want that keep the system prompt apart.

    A turn is its role with the texts of every message of that role in a row: these formats take turns.
    """
    system: list[str] = []
    turns: list[tuple[str, list[str]]] = []
    for message in messages:
        if message.role == "system":
            system.append(message.content)
        elif turns and turns[-1][0] == message.role:
            turns[-1][1].append(message.content)
        else:
            turns.append((message.role, [message.content]))
    return "\n\n".join(system) if system else None, turns


def present(error: msgspec.Raw) -> bool:
    """Whether an `error` beside a reply is one: some servers send an empty one with every reply."""
    return error is not NO_ERROR and bytes(error) not in (b"null", b"{}", b'""', b"false")


def whole(count: Count) -> int | None:
    """A count of tokens; None where none is given or where it cannot be one."""
    return int(count) if count is not None and 0 <= count <= _MOST_TOKENS and count == int(count) else None


def total(*counts: Count) -> int | None:
    """Their sum, where one that is absent counts nothing; None where one that is given cannot be one."""
    given = [whole(count) for count in counts if count is not None]
    return sum(count for count in given if count is not None) if None not in given else None


def probability(logprob: float) -> float | None:
    """From a logarithm, at most 1; None where it is not a number."""
    return None if math.isnan(logprob) else math.exp(min(logprob, 0.0))


def limit(text: object) -> float | None:
    """A limit as a server writes it; None where it is no positive number."""
    written = str(text).strip()
    return (float(written) or None) if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,6})?", written) else None


def limit_a_minute(text: object, recovers_s: float | None) -> float | None:
    """The same, of a minute; None where it takes longer than that to recover."""
    return limit(text) if recovers_s is None or recovers_s <= _MINUTE_S else None


def most(values: Iterable[object]) -> int | None:
    """The largest whole number among values that may be anything."""
    return max((each for each in values if isinstance(each, int)), default=None)
