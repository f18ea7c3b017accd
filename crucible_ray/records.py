"""What crosses a process or a disk: frozen structs, each field with its unit.

Messages grow: unknown fields are ignored here and refused only in users' files.
"""

from __future__ import annotations

from typing import Any, ClassVar

from msgspec import UNSET, Struct, UnsetType


class Shown:
    """A struct's fields in words: those that are set, dollars without an exponent and without the noise of binary fractions."""

    __slots__ = ()
    __struct_fields__: ClassVar[tuple[str, ...]]

    def __repr__(self) -> str:
        told = []
        for name in self.__struct_fields__:
            content = getattr(self, name)
            if content is UNSET:
                continue
            cost = name == "cost_usd" and isinstance(content, float)
            told.append(f"{name}={_plain(content) if cost else repr(content)}")
        return f"{type(self).__name__}({', '.join(told)})"


class Message(Struct, frozen=True):
    """One turn of a conversation."""

    role: str
    """`system`, `user` or `assistant`."""
    content: str


class Item(Shown, Struct, frozen=True, kw_only=True):
    """One question of a dataset."""

    id: str
    input: str
    expected: str | None = None
    """What counts as right; a letter where the item has choices."""
    choices: tuple[str, ...] | None = None
    topic: str | None = None
    difficulty: float | None = None
    """0 (easy) to 1 (hard), where the dataset says."""
    metadata: dict[str, str | int | float | bool | None] = {}
    """The source's other fields."""
    dataset: str | UnsetType = UNSET
    """Which dataset it is from, where an experiment asks several; unset fields are not written at all."""
    parse: str | UnsetType = UNSET
    """How replies are read where nobody says; unset: `choice` where there are choices, else `text`."""


class Usage(Struct, frozen=True, kw_only=True):
    """What the provider counted; None where it said nothing."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None
    """Of the input tokens, those that the provider's cache held."""
    cache_write_tokens: int | None = None
    """Of the input tokens, those that went into the cache, where that has a price of its own."""


class Reply(Shown, Struct, frozen=True, kw_only=True):
    """What a model answered to one request."""

    text: str
    finish_reason: str | None = None
    """`stop`, `length`, `content_filter`, or the provider's own word."""
    usage: Usage = Usage()
    model_version: str | None = None
    """The model id that the provider reports, usually dated."""
    cost_usd: float | None = None
    """What the call cost, lost attempts included; None: no price is known, or nobody has counted yet."""
    latency_ms: float | None = None
    """Its attempts without our own waiting; None: nobody has measured yet."""
    confidence: float | None = None
    """From 0 to 1; None: the model gave none."""


class EnsembleResult(Shown, Struct, frozen=True, kw_only=True):
    """What several models answered to one question, and what their votes came to."""

    answer: str | None
    """None: no vote, or too few answers (see `error`)."""
    votes: dict[str, int]
    """By answer, in the order of first votes."""
    consensus: float | None
    """Winning votes over votes; None without an answer."""
    cost_usd: float | None
    """Of all members, failed ones included; None: a price is unknown."""
    models_used: tuple[str, ...]
    """In member order."""
    successes: int
    """Members that answered, readably or not."""
    failures: int
    latency_ms: float | None
    """In parallel the slowest member's, without our own waiting; None: nobody answered."""
    replies: tuple[Reply | None, ...] = ()
    """In member order; None: that member failed."""
    error: str | None = None
    """`no_quorum` or `parse_failed` where there is no answer."""


def _plain(amount: float) -> str:
    whole, _, rest = f"{float(f'{amount:.6g}'):.15f}".partition(".")
    return f"{whole}.{rest.rstrip('0') or '0'}"


class Answer(Struct, frozen=True):
    """What a function condition may return: its answer as it is, past `parse`."""

    prediction: str | int | float | bool | None
    """None: no answer, which counts as one that cannot be read."""
    confidence: float | None = None
    """From 0 to 1."""
    metadata: dict[str, Any] = {}


class Said(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a function came to, as its row records it: a replay reads this and runs no function again."""

    text: str | None = None
    """A reply that `parse` reads."""
    finish_reason: str | None = None
    prediction: str | None = None
    """Where `text` is None: the answer itself; None: none."""
    error: str | None = None
    """Why there is no answer: a row's `error`."""
    detail: str | None = None
    """Of an exception: its author's own frames, and what it says."""
    consensus: float | None = None
    votes: dict[str, int] | None = None
    confidence: float | None = None
    latency_ms: float | None = None
    """As the function says; counts where it made no call."""
    cost_usd: float | None = None
    """As the function says; kept, and not counted."""
    metadata: dict[str, Any] | None = None
    read: str | None = None
    """What the author's own `parse` made of `text`; where that failed, `error` and `detail` say so."""


class Limits(Struct, frozen=True, kw_only=True):
    """What a provider allows one key in one limit group; None: no such limit is known."""

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None


class ModelRef(Struct, frozen=True, kw_only=True):
    """One resolved model: where it is served, how it is called, what it costs. Holds no secret."""

    name: str
    """As the experiment names it: an alias or `provider/model-id`."""
    provider: str
    """`openai`, `anthropic`, `google`, `simulated`, ...: which wire format, which key."""
    model: str
    """The id sent to the provider."""
    base_url: str
    api_key_env: str | None = None
    """The variable that holds the key; None: no key is needed (loopback)."""
    limit_group: str
    limits: Limits = Limits()
    max_concurrency: int | None = None
    input_price: float | None = None
    """US dollars per million tokens; None: unknown, never zero."""
    output_price: float | None = None
    cached_price: float | None = None
    """Of input tokens that the provider's cache held; None: as any other input."""
    cache_write_price: float | None = None
    """Of input tokens that go into the cache; None: as any other input."""
    price_date: str | None = None
    max_output_tokens: int | None = None
    """The catalogue's largest output, for a bound on cost where `max_tokens` is not set."""


class Call(Struct, frozen=True, kw_only=True):
    """One attempt at one model call: a row of `calls.parquet`."""

    call: int
    """Which call of the trial, from 0: the member's position in an ensemble."""
    attempt: int
    """From 0 within the call."""
    model: str
    request: str
    """BLAKE2b-128 of the request body, hexadecimal."""
    prompt: str
    """BLAKE2b-128 of the messages, hexadecimal: the key of `prompts.parquet`."""
    started_us: int
    """Microseconds from the trial's first send to this one."""
    ended_us: int
    outcome: str
    """`ok`, or the `kind` of a ModelError."""
    status: int | None = None
    """HTTP status, where there was one."""
    detail: str | None = None
    """The provider's error message, shortened; of a reply, why the author's own `parse` failed on it."""
    text: str | None = None
    finish_reason: str | None = None
    model_version: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None
    confidence: float | None = None
    """Geometric mean probability of the answer's tokens, where the provider says."""
    cost_usd: float | None = None
    """None: no price is known, or nothing was charged for a failure that never left."""
    cost_estimated: bool = False
    """The provider's usage never came: `cost_usd` is our estimate."""
    quota_wait_us: int = 0
    """Waiting for a send slot or for money before this attempt."""
    backoff_wait_us: int = 0
    reused_from: str | None = None
    """The experiment that paid for it, where it was taken from an earlier run's record instead of being sent."""
    reused_age_s: float | None = None
    """How old it was by then, seconds; None: not reused, or unknown."""
    shared_from: int | None = None
    """The trial of this run that sent it, where another condition asked the same of the same item and repeat."""
    read: str | None = None
    """What the author's own `parse` made of the reply; None: nothing, or another parser reads it."""

    @property
    def sent(self) -> bool:
        """Whether this trial sent it, and so this run paid for it here."""
        return self.reused_from is None and self.shared_from is None


class Row(Struct, frozen=True, kw_only=True):
    """How one trial ended: a row of `results.csv`, with its calls."""

    trial: int
    error: str | None
    """None, `parse_failed`, `truncated`, `no_quorum`, `client_died`, `exception`, or the `kind` of a ModelError."""
    prediction: str | None
    correct: int | None
    """1, 0; None for a failure."""
    latency_us: int | None
    """First send to accepted answer without our own waiting; a parallel trial's is its slowest member's."""
    cost_usd: float | None
    """What its calls cost, whoever paid for them."""
    input_tokens: int | None
    output_tokens: int | None
    reasoning_tokens: int | None
    finish_reason: str | None
    retries: int
    hedges: int = 0
    hedge_wins: int = 0
    unsent: int = 0
    """How many of `calls` this trial did not send: reused from an earlier run, or shared with another condition."""
    saved_usd: float = 0.0
    """What those cost: the part of `cost_usd` that this trial did not pay."""
    consensus: float | None = None
    returned: str | None = None
    """What the author's function came to: a Said as JSON; None: none ran."""
    votes: dict[str, int] | None = None
    calls: tuple[Call, ...] = ()


class Grant(Struct, frozen=True, kw_only=True):
    """Work for one client: blocks by rank, which it expands itself, or single trials."""

    lane: int
    """Which group of conditions: those that share a limit queue together."""
    spans: tuple[tuple[int, int], ...] = ()
    """Half-open ranges of ranks in the seeded order of blocks."""
    trials: tuple[int, ...] = ()
    """Single trials: what a resume, a death or a reopening left over."""


class Exchange(Struct, frozen=True, kw_only=True):
    """What the driver says to a client; the client's Report is the answer."""

    number: int
    """Counts up from 1 within a generation. A repeated number gets the same Report again; the next one says that it arrived."""
    generation: int
    grants: tuple[Grant, ...] = ()
    allowance_usd: tuple[float, ...] = ()
    """By condition: money added to the client's purse; empty: money is not metered."""
    refuse_money: bool = False
    """No more money will come: hand back what waits for it."""
    low_water: tuple[int, ...] = ()
    """By lane: answer when so few trials are queued unstarted; -1: never for that."""
    answer_within_s: float = 0.25
    """Answer after this long if finished rows are held."""
    stop: bool = False
    """Start nothing more; hand back what has not started."""
    hand_back_unsent: bool = False
    """Hand back what is started and has sent nothing, so that what has can be answered in the time that is left."""
    abandon: bool = False
    """Cut short what is in flight as well; it is handed back."""
    known: bytes = b""
    """Arrow IPC stream of `trial` and `calls`: what is paid for already of the trials granted here; empty: nothing."""


class Fatal(Struct, frozen=True, kw_only=True):
    """Why the whole run has to stop: a refused key, parameter or model."""

    kind: str
    """`authentication`, `refused`, or what only a function can meet: `missing_key`, `unknown_model`, `unpriced`."""
    model: str
    detail: str
    variable: str | None = None
    """Where the key was looked for."""


class Report(Struct, frozen=True, kw_only=True):
    """What a client answers to an Exchange. All counts and sums are since the last report."""

    number: int
    generation: int
    rows: bytes
    """Arrow IPC stream of finished rows; empty: none."""
    unstarted: tuple[int, ...]
    """By lane: queued trials."""
    in_flight: tuple[int, ...]
    """By lane: started trials."""
    spent_usd: tuple[float, ...]
    """By condition: charged, lost attempts included."""
    released_usd: tuple[float, ...]
    """By condition: allowance handed back."""
    wanted_usd: tuple[float, ...]
    """By condition: what calls wait for now."""
    waiting: int = 0
    """Started trials that wait for money and nothing else."""
    returned: tuple[int, ...] = ()
    """Trials handed back without a row."""
    retries: int = 0
    throttled: int = 0
    """429s."""
    quota_wait_s: float = 0.0
    """Summed over calls."""
    lag_s: float = 0.0
    """The event loop's longest delay."""
    cpu_s: float = 0.0
    """CPU time of the client's process, in all."""
    fatal: Fatal | None = None


class SlotAsk(Struct, frozen=True, kw_only=True):
    """A client asks the limiter when it may send."""

    group: str
    count: int
    tokens: int
    """Tokens that one of these requests may be charged at admission."""
    limits: Limits = Limits()
    also: tuple[tuple[str, Limits], ...] = ()
    """Other groups that the same sends count in: the whole run's own limit."""
    refund: int = 0
    """Tokens reserved earlier and not used."""


class SlotGrant(Struct, frozen=True, kw_only=True):
    """Send slots; offsets count from the arrival of this grant, so a send is late, never early."""

    count: int
    first_s: float
    spacing_s: float
    expires_s: float
    """A slot is void so long after its time."""
    binding: bool
    """Whether the limit made somebody wait."""


class Throttled(Struct, frozen=True, kw_only=True):
    """A provider said 429: everybody in the group waits."""

    group: str
    retry_after_s: float | None
    sent_per_minute: float
    """What this client sent of late: where to start from if no limit is known."""
    refused_share: float = 1.0
    """Of this client's last twenty or so answers, how many were refusals."""
    limits: Limits = Limits()
    """What the provider's headers teach."""
