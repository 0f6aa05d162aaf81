"""The one error tree.

    EntenteError
    ├── ConfigError                 a setting is wrong; file, line and remedy in the text
    ├── StartError                  the server cannot start: port in use, folder not writable, ...
    ├── RequestError                what the client sent cannot be served (4xx)
    │   ├── MalformedJson
    │   ├── InvalidParameter        a named parameter is missing, of a wrong type or out of range
    │   │   ├── ObjectNotFound      it names a stored object that is not there for who asks
    │   │   ├── OperationNotSupported   no provider of the model serves this surface
    │   │   └── Conflict            what is there already stands against it
    │   ├── BodyTooLarge
    │   ├── BodyTimeout             the client stopped in the middle of its body
    │   ├── UnknownRoute
    │   └── MethodNotAllowed
    ├── AuthenticationError
    │   ├── MissingKey
    │   └── InvalidKey
    │       └── InvalidToken        a bearer token of an issuer, not one of our keys
    ├── PermissionDenied
    │   └── AgreementForbids        no target that the agreement allows for this request
    ├── ModelNotFound
    │   └── ModelRetired            it was here, until its shutdown date
    ├── LimitError                  429
    │   ├── RateLimited             requests or tokens per minute
    │   ├── RequestTooLarge         one request asks for more than the whole limit
    │   └── BudgetExceeded
    ├── Unpriced                    a hard budget cannot hold a model that has no price
    ├── UpstreamError               what a provider did
    │   ├── UpstreamConnectError    no connection; the request was not sent
    │   ├── UpstreamTimeout         connect, first byte, idle or total
    │   ├── UpstreamClosed          the connection ended inside the exchange
    │   ├── UpstreamProtocolError   what came back is not HTTP, or breaks a bound
    │   ├── UpstreamRefused         it does not accept the credentials that we have for it
    │   └── UpstreamBusy            our own bound on connections to it is reached
    ├── LedgerError
    │   ├── LedgerUnavailable       the journal cannot be written now (disk full, locked)
    │   ├── IdempotencyConflict     the same idempotency key with another content
    │   └── LedgerCorrupt           the journal does not read back as it was written
    ├── StorageUnavailable          stored objects cannot be read or written now
    │   └── IdTaken                 an object or item with this id is there already
    └── Overloaded                  the server stops or has reached one of its own bounds
        └── IssuerUnavailable       the keys of a token's issuer cannot be fetched now

Each error carries a sentence for people (`message`); what an HTTP client sees is
decided by one table per dialect in `wire`. Foreign errors are mapped in one place
each: sockets and HTTP in `net`, SQLite in `db` and each store on it, TOML in `config`.
"""

from __future__ import annotations

from typing import Literal


class EntenteError(Exception):
    """Root of the tree. `message` is a sentence that may be shown to the caller."""

    def __init__(self, message: str) -> None:
        """Keep the sentence."""
        super().__init__(message)
        self.message = message


class ConfigError(EntenteError):
    """A setting is wrong. The message names file, line, setting and remedy."""


class StartError(EntenteError):
    """The server cannot start. The message says why and what to do."""


class RequestError(EntenteError):
    """What the client sent cannot be served."""


class MalformedJson(RequestError):
    """The body is not a JSON object."""


class InvalidParameter(RequestError):
    """A parameter is missing, has a wrong type or is out of range.

    `param` is its name on the wire; `code` the vendor's word for the defect
    (`missing_required_parameter`, `invalid_type`, ...), None where it has none.
    """

    def __init__(self, message: str, *, param: str | None, code: str | None) -> None:
        """Keep what the error body names."""
        super().__init__(message)
        self.param = param
        self.code = code


class ObjectNotFound(InvalidParameter):
    """A stored object is not there, has expired, or belongs to another project."""


class Conflict(InvalidParameter):
    """What is there already stands against it: a name that is taken, or means something else."""


class OperationNotSupported(InvalidParameter):
    """No provider of the model serves this surface.

    `operation` is the surface's name, `model` the model's as the client gave it.
    """

    def __init__(self, operation: str, model: str) -> None:
        """Keep both for the error body."""
        message = (
            f"The model `{model}` does not support {operation}: none of its providers serves that "
            "endpoint. Choose another model, or another endpoint."
        )
        super().__init__(message, param="model", code="unsupported_model")
        self.operation = operation
        self.model = model


class BodyTooLarge(RequestError):
    """The body is longer than the server's bound."""


class BodyTimeout(RequestError):
    """The client stopped sending in the middle of its body."""


class UnknownRoute(RequestError):
    """No row of the route table has this path."""


class MethodNotAllowed(RequestError):
    """The path exists, the method does not. `allow` lists the methods that do."""

    def __init__(self, message: str, *, allow: tuple[str, ...]) -> None:
        """Keep the methods that the path has."""
        super().__init__(message)
        self.allow = allow


class AuthenticationError(EntenteError):
    """Who is asking is not known."""


class MissingKey(AuthenticationError):
    """The request has no key."""


class InvalidKey(AuthenticationError):
    """The key is not known, or was revoked."""


class InvalidToken(InvalidKey):
    """A bearer token is not valid here: signature, issuer, audience, time, or nobody's."""


class PermissionDenied(EntenteError):
    """The principal is known and may not do this."""


class AgreementForbids(PermissionDenied):
    """The agreement bars every target. The message has the clause and its sentence.

    `clauses` are the ids of the clauses that bar it.
    """

    def __init__(self, message: str, *, clauses: tuple[str, ...]) -> None:
        """Keep the clauses."""
        super().__init__(message)
        self.clauses = clauses


class ModelNotFound(EntenteError):
    """No such model for this principal. `model` is the name as the client gave it."""

    def __init__(self, model: str) -> None:
        """Keep the name for the error body."""
        super().__init__(f"The model `{model}` does not exist or you do not have access to it.")
        self.model = model


class ModelRetired(ModelNotFound):
    """The model's shutdown date has come."""

    def __init__(self, model: str) -> None:
        """Say so, in the vendor's words."""
        super().__init__(model)
        self.message = (
            f"The model `{model}` has been deprecated, learn more here: "
            "https://platform.openai.com/docs/deprecations"
        )


class LimitError(EntenteError):
    """A limit or budget stands against the request.

    `retry_after_ms` is the time after which a retry may succeed; None where
    waiting alone does not help.
    """

    def __init__(self, message: str, *, retry_after_ms: int | None = None) -> None:
        """Keep the hint for the retry."""
        super().__init__(message)
        self.retry_after_ms = retry_after_ms


class RateLimited(LimitError):
    """Requests or tokens per minute are used up for now."""

    def __init__(
        self, message: str, *, unit: Literal["requests", "tokens"], retry_after_ms: int
    ) -> None:
        """Keep which of the two it was."""
        super().__init__(message, retry_after_ms=retry_after_ms)
        self.unit = unit


class RequestTooLarge(LimitError):
    """One request asks for more tokens than the whole per-minute limit."""


class BudgetExceeded(LimitError):
    """The request could cost more than what is left of the budget."""


class Unpriced(EntenteError):
    """The model has no price and the key has a hard budget."""


class UpstreamError(EntenteError):
    """A provider did not answer as it should. `sends` counts how often it was asked."""

    sends = 1


class UpstreamConnectError(UpstreamError):
    """No connection to the provider could be made; the request was not sent."""


class UpstreamTimeout(UpstreamError):
    """The provider was too slow. `phase` says in which part of the exchange."""

    def __init__(
        self, message: str, *, phase: Literal["connect", "first_byte", "idle", "total"]
    ) -> None:
        """Keep the phase."""
        super().__init__(message)
        self.phase = phase


class UpstreamClosed(UpstreamError):
    """The provider closed the connection inside the exchange."""


class UpstreamProtocolError(UpstreamError):
    """What the provider sent is not HTTP/1.1 or no whole answer, or breaks one of our bounds."""


class UpstreamRefused(UpstreamError):
    """The provider does not accept our credentials; the client's own key is fine."""


class UpstreamBusy(UpstreamError):
    """Our own bound on connections or waiters for this provider is reached."""


class LedgerError(EntenteError):
    """The ledger cannot do what was asked."""


class LedgerUnavailable(LedgerError):
    """The journal cannot be written now: disk full, no permission, locked."""


class IdempotencyConflict(LedgerError):
    """An entry with this idempotency key exists and says something else."""


class LedgerCorrupt(LedgerError):
    """The journal does not read back as it was written."""


class StorageUnavailable(EntenteError):
    """Stored objects cannot be read or written now: disk full, no permission, locked."""


class IdTaken(StorageUnavailable):
    """An object or item with this id is there already."""


class Overloaded(EntenteError):
    """The server is stopping, or one of its own bounds is reached."""


class IssuerUnavailable(Overloaded):
    """Whether a token is valid cannot be said: its issuer's keys cannot be fetched now."""
