"""Every exception a user can meet, as one tree; each says what can be done about it.

CrucibleError
|- UsageError                    exit 2: what was asked is wrong
|  |- SpecError                  an experiment, all its problems at once
|  |- DatasetError
|  |- SettingsError
|  |- StatsError
|  `- ParameterRefused           a provider refuses a parameter or a model
|- CredentialError               exit 4
|  |- MissingKey
|  `- RefusedKey
|- CallFailed                    a function's own call failed for good; it may catch this
|- BudgetSpent                   exit 3
|- CannotContinue                exit 5: the record is kept
|  |- JournalError
|  |  |- DamagedEntry
|  |  |- Superseded
|  |  `- AlreadyRunning
|  |- StorageFailed
|  |- RestartsExhausted
|  `- RayUnavailable
|- TransportError                one exchange with a server; seen by `models` alone
|  |- NeverSent
|  |- OutcomeUnknown
|  |  `- StaleConnection
|  `- DeadlinePassed
`- ModelError                    one failed attempt of one call; a value in the row, not a crash
   |- Authentication  BadRequest  Refused  ContentFiltered
   |- RateLimited  Overloaded  ServerError
   |- AttemptTimeout  ConnectionFailed  ConnectionLost  ConnectionStale
   `- MalformedReply

Every field goes to `super().__init__`, so that an exception survives pickling between processes.
"""

from __future__ import annotations

from typing import Any, ClassVar


class CrucibleError(Exception):
    """Base of every error of crucible-ray."""

    exit_code: ClassVar[int] = 5
    result: Any = None
    """The RunResult of what is recorded, where a run ended in this error; it does not travel between processes."""


class UsageError(CrucibleError):
    """What was asked for cannot be done as it is written."""

    exit_code = 2


class SpecError(UsageError):
    """An experiment that does not hold together; `problems` names every fault at once."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(self.problems)


class DatasetError(UsageError):
    """A dataset cannot be found or read."""


class SettingsError(UsageError):
    """A configuration file or variable holds something that is not a setting."""


class StatsError(UsageError):
    """Numbers that the asked-for statistic is not defined on."""


class ParameterRefused(UsageError):
    """A provider refuses a parameter or a model; the trials concerned stay pending."""

    def __init__(self, model: str, detail: str) -> None:
        super().__init__(model, detail)
        self.model, self.detail = model, detail

    def __str__(self) -> str:
        return f"{self.model}: the provider refuses the request: {self.detail}. Correct the condition or the model's options."


class CredentialError(CrucibleError):
    """A key is missing or refused."""

    exit_code = 4


class MissingKey(CredentialError):
    """No key for a model where one is needed."""

    def __init__(self, model: str, variable: str) -> None:
        super().__init__(model, variable)
        self.model, self.variable = model, variable

    def __str__(self) -> str:
        where = f"environment, .env, or a file named by {self.variable}_FILE"
        return (
            f"API key not found for model {self.model}: set {self.variable} ({where}). "
            "Without a key: --simulate, in Python simulate=True."
        )


class RefusedKey(CredentialError):
    """The provider does not accept the key."""

    def __init__(self, model: str, variable: str, detail: str) -> None:
        super().__init__(model, variable, detail)
        self.model, self.variable, self.detail = model, variable, detail

    def __str__(self) -> str:
        return f"The provider of {self.model} refuses the key in {self.variable}: {self.detail}. Correct it there."


class CallFailed(CrucibleError):
    """A call that a function condition made failed for good, its retries included.

    `kind` is `timeout`, `server_error` and so on, as in a row's `error`. Uncaught, it becomes the row's.
    """

    def __init__(self, model: str, kind: str, detail: str) -> None:
        super().__init__(model, kind, detail)
        self.model, self.kind, self.detail = model, kind, detail

    def __str__(self) -> str:
        return f"{self.model}: {self.kind}: {self.detail}"


class BudgetSpent(CrucibleError):
    """A budget is used up; what ran is kept, the rest is pending."""

    exit_code = 3


class CannotContinue(CrucibleError):
    """The run cannot go on here; everything recorded so far is kept."""


class JournalError(CannotContinue):
    """The record of a run cannot be read or written."""


class DamagedEntry(JournalError):
    """One entry of the journal cannot be read."""

    def __init__(self, name: str, why: str, mend: str) -> None:
        super().__init__(name, why, mend)
        self.name, self.why, self.mend = name, why, mend

    def __str__(self) -> str:
        return f"{self.name} is damaged ({self.why}). {self.mend}"


class Superseded(JournalError):
    """Another driver writes this run's journal now."""

    def __init__(self, number: int, writer: str) -> None:
        super().__init__(number, writer)
        self.number, self.writer = number, writer

    def __str__(self) -> str:
        return f"Another driver ({self.writer}) wrote entry {self.number}: it runs this experiment now, so this one stops."


class AlreadyRunning(JournalError):
    """The journal's `alive` file is fresh: somebody is running this experiment."""

    def __init__(self, where: str) -> None:
        super().__init__(where)
        self.where = where

    def __str__(self) -> str:
        return f"{self.where} is being run by another process. Wait for it, stop it, or add --take-over."


class StorageFailed(CannotContinue):
    """Results cannot be stored: the disk is full, the folder is gone, the store refuses."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(where, why)
        self.where, self.why = where, why

    def __str__(self) -> str:
        return f"Cannot write to {self.where}: {self.why}. Mend that, then resume."


class RestartsExhausted(CannotContinue):
    """Client processes die faster than it makes sense to restart them."""

    def __init__(self, restarts: int, window_s: float, last: str) -> None:
        super().__init__(restarts, window_s, last)
        self.restarts, self.window_s, self.last = restarts, window_s, last

    def __str__(self) -> str:
        return f"Clients died {self.restarts} times within {self.window_s:.0f} s (last: {self.last}). See run.log, then resume."


class RayUnavailable(CannotContinue):
    """Ray cannot be started or joined."""


class TransportError(CrucibleError):
    """One exchange with a server that brought no complete response."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class NeverSent(TransportError):
    """The request did not leave: nothing was charged, and sending it again is safe."""


class OutcomeUnknown(TransportError):
    """The request was sent, at least in part; whether the provider acted on it is unknown."""


class StaleConnection(OutcomeUnknown):
    """A kept-alive connection closed without a byte: the server thought it idle and probably read nothing."""


class DeadlinePassed(TransportError):
    """The caller's deadline passed; the connection was closed."""


class ModelError(CrucibleError):
    """One attempt at one model call failed. `kind` is what rows and reports call it."""

    kind: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False
    charged: ClassVar[bool] = False
    """Whether the provider may have charged for the attempt."""

    def __init__(self, detail: str, status: int | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(detail, status, retry_after_s)
        self.detail, self.status, self.retry_after_s = detail, status, retry_after_s

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}"


class Authentication(ModelError):
    """401 or 403: the key is refused. Stops the run."""

    kind = "authentication"


class Refused(ModelError):
    """The model or a parameter is refused whatever the item: stops the run."""

    kind = "refused"


class BadRequest(ModelError):
    """This request alone is refused (too long, say); a failed row."""

    kind = "bad_request"


class ContentFiltered(ModelError):
    """The provider's filter withheld the answer; a failed row."""

    kind = "content_filter"


class RateLimited(ModelError):
    """429, or the same inside a 200; wait `retry_after_s`, no retry is used up."""

    kind = "rate_limit"
    retryable = True


class Overloaded(ModelError):
    """503 or 529: the provider has no capacity."""

    kind = "overloaded"
    retryable = True


class ServerError(ModelError):
    """Any other 5xx, or an error inside a 200."""

    kind = "server_error"
    retryable = True


class AttemptTimeout(ModelError):
    """No complete answer within the attempt's time."""

    kind = "timeout"
    retryable = True
    charged = True


class ConnectionFailed(ModelError):
    """The request was never sent."""

    kind = "connection"
    retryable = True


class ConnectionLost(ModelError):
    """The connection broke after the request was sent; the outcome is unknown."""

    kind = "connection_lost"
    retryable = True
    charged = True


class ConnectionStale(ConnectionLost):
    """The same on a kept-alive connection that closed without a byte: worth one more send at once."""


class MalformedReply(ModelError):
    """A success status with a body that is no reply."""

    kind = "malformed"
    retryable = True
    charged = True
