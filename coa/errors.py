"""Every error that a user of the library can meet, as one tree.

::

    CoaError
    ├── UsageError                 exit 2: the request makes no sense as it was given
    │   ├── WindowTooSmall         the window cannot hold the prompt, let alone the text
    │   └── MissingExtra           an optional package is not installed
    ├── InputError                 exit 5: a document cannot be read
    │   ├── InputNotFound
    │   ├── InputUnreadable        permissions, a device, a broken link
    │   ├── EmptyDocument
    │   ├── UnsupportedFormat      binary data that is no known document
    │   ├── EncryptedDocument
    │   ├── NoTextLayer            scanned pages: images without text
    │   ├── CorruptFile
    │   ├── InputTooLarge
    │   ├── UnsafeInput            zip bombs, entity expansion, paths that leave the archive
    │   ├── InputChanged           a resumed run's document is not what it was
    │   └── UnusableIndex          no index, a damaged one, or one made with another embedder
    ├── ModelError                 exit 4: the provider failed
    │   ├── AuthenticationFailed
    │   ├── QuotaExceeded
    │   ├── RateLimited            (retryable)
    │   ├── ProviderUnavailable    (retryable)
    │   ├── CallTimeout            (retryable)
    │   ├── RequestRejected
    │   ├── ContextOverflow        the prompt is longer than the server takes
    │   └── InvalidReply           (see its subclasses)
    │       ├── EmptyReply
    │       ├── TruncatedReply
    │       ├── RefusedReply
    │       ├── MalformedReply
    │       └── UnfitReply         whole and readable, but not in the form that was asked for
    ├── LimitReached               exit 6: a limit set by the user stopped the run; it can be resumed
    │   ├── BudgetExceeded
    │   └── DeadlineExceeded
    ├── RunError                   exit 5: the journal or the run directory cannot be used
    │   ├── RunNotFound
    │   ├── RunLocked              exit 7: another live process owns the run
    │   ├── JournalCorrupt
    │   └── StorageFailed          disk full, read-only directory
    └── Interrupted                exit 130
"""

from __future__ import annotations


class CoaError(Exception):
    """Base of all errors. ``str(error)`` says what happened; ``hint`` says what to do about it.

    Attributes:
        hint: One sentence that helps, never empty.
        exit_code: What the command line exits with.
        retryable: Whether the same call may succeed if it is sent again.
    """

    exit_code: int = 1
    retryable: bool = False
    default_hint: str = "Run with --debug to see where this came from."

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint or self.default_hint

    @property
    def code(self) -> str:
        """A stable name for programs, such as ``EncryptedDocument``."""
        return type(self).__name__


class UsageError(CoaError):
    """The request makes no sense as it was given."""

    exit_code = 2
    default_hint = "See `coa --help`."


class WindowTooSmall(UsageError):
    """The context window cannot hold the prompt and leave room for text."""

    default_hint = "Give a larger --window, or a shorter question or focus."


class MissingExtra(UsageError):
    """An optional package is not installed."""


class InputError(CoaError):
    """A document cannot be read."""

    exit_code = 5
    default_hint = "Check the file, or convert it to text first."


class InputNotFound(InputError):
    """No such file."""

    default_hint = "Check the path; use - to read standard input."


class InputUnreadable(InputError):
    """The file is there but the system will not let it be read."""

    default_hint = "Check the permissions of the file."


class EmptyDocument(InputError):
    """There is no text in the document."""

    default_hint = "The file holds no text; check that it is the one you meant."


class UnsupportedFormat(InputError):
    """Binary data that is no known document."""

    default_hint = "Convert it to text, PDF, DOCX, EPUB or HTML first."


class EncryptedDocument(InputError):
    """The document needs a password."""

    default_hint = "Save a copy without a password and use that."


class NoTextLayer(InputError):
    """The pages are images without text."""

    default_hint = "Run OCR over it first (ocrmypdf, for example)."


class CorruptFile(InputError):
    """The file is damaged."""

    default_hint = "Open and save it again with the program that made it."


class InputTooLarge(InputError):
    """The document exceeds a limit that protects this machine."""

    default_hint = "Split the file, or raise the limit with coa.Limits."


class UnsafeInput(InputError):
    """The file is built to harm the program that opens it."""

    default_hint = "Do not open this file unless you trust where it came from."


class InputChanged(InputError):
    """A resumed run's document is not what it was."""

    default_hint = "Start a new run for the changed document."


class UnusableIndex(InputError):
    """A folder is no index, is damaged, or was made with another embedder or a newer version."""

    default_hint = "Index the documents again in a new folder: coa index PATH... --index DIR"


class ModelError(CoaError):
    """The provider failed.

    Attributes:
        status: HTTP status, where there was one.
        retry_after: Seconds that the server asked to wait, where it did.
    """

    exit_code = 4
    default_hint = "Run `coa doctor` to check the endpoint and the key."

    def __init__(
        self, message: str, *, hint: str | None = None, status: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.retry_after = retry_after


class AuthenticationFailed(ModelError):
    """The key is missing, wrong, or not allowed to use the model."""

    default_hint = "Set OPENAI_API_KEY (or the provider's own variable) to a valid key."


class QuotaExceeded(ModelError):
    """The account has no credit left; waiting does not help."""

    default_hint = "Add credit to the account, or choose another model with --model."


class RateLimited(ModelError):
    """Too many requests; the server asked to wait."""

    retryable = True
    default_hint = "Lower --concurrency, or resume later: finished calls are kept."


class ProviderUnavailable(ModelError):
    """The server cannot be reached, or it failed."""

    retryable = True
    default_hint = "Check --base-url and that the server runs; finished calls are kept, resume when it is back."


class CallTimeout(ModelError):
    """One request took longer than its deadline."""

    retryable = True
    default_hint = "The server is slow or hangs; raise --timeout, or resume later."


class RequestRejected(ModelError):
    """The server will not take the request, and sending it again will not change that."""

    default_hint = "Check the model's name and what the server supports."


class ContextOverflow(ModelError):
    """The prompt is longer than the server takes.

    Attributes:
        limit: Tokens that the server takes, where it said so.
        actual: Tokens that the server counted, where it said so.
    """

    default_hint = "Give the server's true context length with --window."

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        status: int | None = None,
        limit: int | None = None,
        actual: int | None = None,
    ) -> None:
        super().__init__(message, hint=hint, status=status)
        self.limit = limit
        self.actual = actual


class InvalidReply(ModelError):
    """The server answered, but the answer cannot be used."""

    default_hint = "Try another model; a small one may not follow the instructions."


class EmptyReply(InvalidReply):
    """The reply holds no text."""


class TruncatedReply(InvalidReply):
    """The reply stopped before its end, or the server did not say that it had ended."""

    default_hint = "Give a larger --window, which leaves more room for replies; a model that thinks aloud needs it."


class RefusedReply(InvalidReply):
    """The model, or a filter around it, declined to answer."""


class MalformedReply(InvalidReply):
    """The reply is not what the protocol or the prompt asks for."""


class UnfitReply(InvalidReply):
    """The reply is whole, but not in the form that the prompt asks for; the message says so to the model."""


class LimitReached(CoaError):
    """A limit set by the user stopped the run; it can be resumed."""

    exit_code = 6
    default_hint = "Raise the limit and give the same command again: finished calls are kept."


class BudgetExceeded(LimitReached):
    """The next call could exceed the budget in money, tokens or calls."""


class DeadlineExceeded(LimitReached):
    """The run's time is up."""


class RunError(CoaError):
    """The journal or the run directory cannot be used."""

    exit_code = 5
    default_hint = "Choose another --run-dir, or run with --no-journal."


class RunNotFound(RunError):
    """No run has this id."""

    default_hint = "List the runs with `coa runs`."


class RunLocked(RunError):
    """Another live process owns the run."""

    exit_code = 7
    default_hint = "Wait for the other process, or stop it."


class JournalCorrupt(RunError):
    """The journal is damaged or was written by a newer version."""


class StorageFailed(RunError):
    """The disk is full, or the directory cannot be written."""

    default_hint = "Free some space or choose another --run-dir; then give the same command again."


class Interrupted(CoaError):
    """The user stopped the run."""

    exit_code = 130
    default_hint = "Finished calls are kept: resume the run."
