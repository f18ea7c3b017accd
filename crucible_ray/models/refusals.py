"""What a provider's error means, whatever it calls it: the one place where codes, types and phrases are read.

The order matters: what the error says of itself comes before its status, since providers disagree on statuses
(a spent quota is a 429 at one and a 402 at the next, and an error may come inside a 200).
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from email.utils import parsedate_to_datetime

import msgspec
from msgspec import Struct

from crucible_ray.errors import (
    Authentication,
    BadRequest,
    ContentFiltered,
    ModelError,
    Overloaded,
    RateLimited,
    Refused,
    ServerError,
)
from crucible_ray.models.transport import Response

DETAIL_CHARS = 300
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What reading a body that is no JSON, or absurdly deep, raises."""
_READ = 2000
"""Bytes of an error body that is not JSON."""

_MEANINGS: dict[type[ModelError], str] = {
    Authentication: """invalid_api_key invalid_authentication authentication_error permission_error
        permission_denied unauthenticated account_deactivated""",
    BadRequest: """context_length_exceeded string_above_max_length request_too_large invalid_prompt
        reply_not_recorded""",
    ContentFiltered: """content_filter content_policy_violation moderation_blocked
        responsibleaipolicyviolation""",
    Overloaded: "overloaded overloaded_error engine_overloaded unavailable",
    RateLimited: """rate_limit_exceeded rate_limit_error rate_limit_reached resource_exhausted
        too_many_requests""",
    Refused: """unsupported_parameter unsupported_value unknown_parameter unsupported_model model_not_found
        model_not_supported invalid_model deploymentnotfound unknown_url failed_precondition""",
    ServerError: "server_error api_error internal_error internal_server_error timeout_error deadline_exceeded",
}
_CODES = {code: kind for kind, codes in _MEANINGS.items() for code in codes.split()}
_STATUSES: dict[int, type[ModelError]] = {
    408: ServerError,
    409: ServerError,
    425: ServerError,
    429: RateLimited,
    503: Overloaded,
    529: Overloaded,
}
_SPENT = frozenset(
    {
        "insufficient_quota",
        "insufficient_balance",
        "billing_hard_limit_reached",
        "billing_not_active",
        "billing_error",
    }
)
_NO_CREDIT = re.compile(r"credit balance is too low|insufficient (credit|balance|funds)", re.I)
_OF_THE_REQUEST = frozenset({"badrequesterror", "invalid_request_error", "invalid_argument"})
_AUTHENTICATION = re.compile(r"api key not valid|(invalid|incorrect) api.?key", re.I)
_TOO_LONG = re.compile(
    r"context (length|window)|maximum context|(prompt|input) is too long|too many (input )?tokens"
    r"|request too large|exceed context limit|exceeds the maximum number of tokens",
    re.I,
)
_FILTERED = re.compile(r"content (management )?(filter|policy)|flagged|moderation", re.I)
_OF_ANY_ITEM = re.compile(
    r"model\b.{0,80}\b(not found|does not exist|not exist|not a valid|not supported|unknown|unavailable)"
    r"|(invalid|unknown|unsupported) model|not a valid model"
    r"|(unsupported|unrecognized|unknown|unexpected) (parameter|argument|request argument|field|value|key)"
    r"|unknown name\b|extra inputs are not permitted|cannot both be specified|may only be set"
    r"|(parameter|argument|temperature|max_tokens)\b.{0,80}\bnot supported"
    r"|does not support",
    re.I | re.S,
)
_TELLING = frozenset({"temperature", "seed", "logprobs", "thinking", "reasoning"})
_OF_THE_ITEM = ("messages", "prompt", "input", "contents")


class Complaint(Struct, frozen=True):
    """An error as the provider words it."""

    message: str
    code: str | None = None
    kind: str | None = None
    """Its `type` or `status`."""
    param: str | None = None


def classify(status: int, said: Complaint) -> tuple[type[ModelError], str]:
    """(class, detail) of an error that came with `status`; 200 where it came inside a success."""
    if status == 200 and said.code and re.fullmatch("[1-5][0-9]{2}", said.code):
        status = int(said.code)  # an error inside a success often brings the status that it should have had
    names = [name.lower() for name in (said.code, said.kind) if name]
    message = said.message.strip() or f"status {status}, without a word"
    if status == 402 or _SPENT.intersection(names) or (status == 400 and _NO_CREDIT.search(message)):
        return Refused, f"the account has no quota or credit left: {message}"
    if 300 <= status < 400:
        return Refused, f"the address redirects elsewhere ({status}): correct base_url"
    return _kind(status, names, said), message


def _kind(status: int, names: list[str], said: Complaint) -> type[ModelError]:
    if status == 401:
        return Authentication
    if status == 413 or (status in (400, 422, 429) and _TOO_LONG.search(said.message)):
        return (
            BadRequest  # also where it is called a rate limit: what exceeds a minute's tokens never gets in
        )
    for name in names:
        if name in _CODES:
            return _settled(_CODES[name], status)
    if status in _STATUSES:
        return _STATUSES[status]
    if status in (400, 403, 422) or (status == 200 and _OF_THE_REQUEST.intersection(names)):
        return _of_request(status, said)
    return Refused if 400 <= status < 500 else ServerError


def _settled(kind: type[ModelError], status: int) -> type[ModelError]:
    """A type such as `server_error` says less than a status of 429, 503 or 529 beside it."""
    return _STATUSES.get(status, kind) if kind is ServerError else kind


def _of_request(status: int, said: Complaint) -> type[ModelError]:
    if _AUTHENTICATION.search(said.message):
        return Authentication
    if _TOO_LONG.search(said.message):
        return BadRequest
    if _FILTERED.search(said.message):
        return ContentFiltered
    if status == 403:
        return Authentication
    if said.param:
        return BadRequest if said.param.startswith(_OF_THE_ITEM) else Refused
    return Refused if _OF_ANY_ITEM.search(said.message) else BadRequest


def failure(response: Response, said: Complaint, now_s: float, key: str | None) -> ModelError:
    """The error that a response stands for; `key` is never shown, even if the server repeats it."""
    kind, detail = classify(response.status, said)
    return kind(shorten(detail, key), response.status, retry_after_s(response.headers, now_s))


def complaint(body: bytes) -> Complaint:
    """An error body of whatever shape: OpenAI's object, a string, FastAPI's `detail`, Google's list, HTML."""
    try:
        whole = msgspec.json.decode(body)
    except UNREADABLE:
        return Complaint(message=body[:_READ].decode("utf-8", "replace"))
    if isinstance(whole, list) and whole:
        whole = whole[0]
    if not isinstance(whole, dict):
        return Complaint(message=str(whole))
    error = whole.get("error") or whole
    if not isinstance(error, dict):
        return Complaint(message=str(error))
    detail = error.get("detail")
    if isinstance(detail, list) and detail and isinstance(detail[0], dict):
        loc = detail[0].get("loc")
        place = [str(each) for each in loc if each != "body"] if isinstance(loc, list) else []
        return Complaint(message=str(detail[0].get("msg", "")), param=".".join(place) or None)
    code, kind, param = error.get("code"), error.get("type") or error.get("status"), error.get("param")
    return Complaint(
        message=str(error.get("message") or detail or error),
        code=str(code) if code is not None else None,
        kind=str(kind) if kind is not None else None,
        param=str(param) if param is not None else None,
    )


def blames(detail: str, options: Collection[str]) -> bool:
    """Whether a refused request is refused for one of our options, which would be refused with any item.

    Options whose name is a plain word are passed over, but for the few that only a parameter is called.
    """
    if _TOO_LONG.search(detail):
        return False
    telling = (name for name in options if name in _TELLING or "_" in name or name != name.lower())
    return any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", detail) for name in telling)


def shorten(text: str, key: str | None) -> str:
    """One line of at most 300 characters without the key, whole or masked by stars."""
    if key:
        text = text.replace(key, "[key]")
    return re.sub(r"\S*\*{3}\S*", "[key]", " ".join(text.split()))[:DETAIL_CHARS]


def retry_after_s(headers: Mapping[str, str], now_s: float) -> float | None:
    """Seconds to wait: `retry-after-ms`, or `retry-after` in seconds or as a date (RFC 9110, 10.2.3).

    A date is read against the server's own `date`, which the same clock wrote; without one against `now_s`.
    """
    millis = _finite(headers.get("retry-after-ms"))
    if millis is not None:
        return millis / 1000.0
    after = headers.get("retry-after")
    seconds = _finite(after)
    if seconds is not None or after is None:
        return seconds
    until_s = _date_s(after)
    if until_s is None:
        return None
    sent_s = _date_s(headers.get("date"))
    return max(0.0, until_s - (now_s if sent_s is None else sent_s))


def _finite(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return max(0.0, value) if math.isfinite(value) else None


def _date_s(text: str | None) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp() if text is not None else None
    except (ValueError, OverflowError):
        return None
