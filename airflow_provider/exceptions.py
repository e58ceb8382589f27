"""
One tree of errors for both services, so that users catch and retry by kind.

Every error carries what is known about it: HTTP status, vendor code, parameter, request id, job id and
endpoint. Errors that no retry can help also derive from ``AirflowFailException``: Airflow then fails the task
without using up its retries. No message carries an API key or the query string of a signed link.

::

    ProviderError
    ├── ConfigurationError        stop   the connection is unusable
    ├── UndefinedConnectionError         Airflow does not find the connection, or cannot look
    ├── InvalidInputError         stop   an argument or a file is wrong; nothing was sent
    ├── PaidRequestsLimitError    stop   max_paid_requests were sent; nothing more was
    ├── ApiError                         the service answered, or failed to
    │   ├── AuthenticationError   stop   401
    │   ├── PermissionDeniedError stop   403
    │   ├── PlanError             stop   402
    │   ├── InvalidRequestError   stop   400, 413, 415, 422 and other 4xx
    │   ├── NotFoundError         stop   404
    │   ├── NotReadyError                404 on the issues or topics of an unfinished asset
    │   ├── ConflictError                409
    │   ├── RateLimitedError             429
    │   ├── ServerError                  5xx, and 408 and 425
    │   ├── TransportError               no answer, or a broken one
    │   └── MalformedResponseError       an answer that is not what the endpoint documents
    ├── SubmitOutcomeUnknownError        a paid call was sent and its answer was lost
    ├── LedgerError                      the record of an earlier attempt cannot be read or settled
    │   └── SubmissionLostError   stop   a submission was paid for and its id is lost
    ├── TransferError                    a file could not be moved whole
    ├── ComplianceError           stop   a compliance gate blocked what was judged
    └── JobError                         what became of a submission or report
        ├── JobFailedError
        │   └── JobInputError     stop   failed for its input: the same input fails again
        ├── JobCancelledError
        ├── JobTimeoutError              also a TimeoutError
        ├── WaitError                    waiting was given up; the message says whether the job goes on
        └── ResultGoneError       stop   the job succeeded, its result can no longer be fetched
"""

from __future__ import annotations

from airflow_provider.compat import AirflowFailException
from airflow_provider.errors import (
    ApiError,
    MalformedResponseError,
    ProviderError,
    RateLimitedError,
    ServerError,
    TransportError,
    UndefinedConnectionError,
)


class ConfigurationError(ProviderError, AirflowFailException):
    """The connection is unusable: no key, an unknown extra, a key over plain http to a remote host."""


class InvalidInputError(ProviderError, AirflowFailException, ValueError):
    """An argument or a file is wrong. Raised before anything is sent; ``parameter`` names the argument."""


class PaidRequestsLimitError(ProviderError, AirflowFailException):
    """The task has sent ``max_paid_requests`` paid requests. Raised before the next one."""


class AuthenticationError(ApiError, AirflowFailException):
    """401: the API key is missing, unknown, expired or revoked."""

    key_refused = True


class PermissionDeniedError(ApiError, AirflowFailException):
    """403: the key is valid and may not do this."""


class PlanError(ApiError, AirflowFailException):
    """402: the plan behind the key does not include this call."""


class InvalidRequestError(ApiError, AirflowFailException):
    """400, 413, 415, 422: the request itself is wrong and stays wrong."""


class NotFoundError(ApiError, AirflowFailException):
    """404: unknown, or owned by another workspace or account."""

    not_found = True


class NotReadyError(ApiError):
    """404 on the issues or topics of an asset that has not finished; ask again later."""


class ConflictError(ApiError):
    """409: already submitted, not retryable, or a retry is in flight."""


class SubmitOutcomeUnknownError(ProviderError):
    """A call that starts a paid job was sent and its answer was lost: the job may or may not exist."""


class LedgerError(ProviderError):
    """The record of an earlier attempt cannot be read, or cannot be settled without paying twice."""


class SubmissionLostError(LedgerError, AirflowFailException):
    """The service has a submission of this task whose id was lost with the answer and cannot be found."""


class TransferError(ProviderError):
    """A file could not be moved whole; the target holds nothing or what it held before."""


class ComplianceError(ProviderError, AirflowFailException):
    """A compliance gate found issues that its policy does not let pass; the message lists them."""


class JobError(ProviderError):
    """A submission or a report did not come to a good end."""


class JobFailedError(JobError):
    """The service reports the job as failed."""


class JobInputError(JobFailedError, AirflowFailException):
    """The job failed for its input, and would again: bad photos, missing occupant data."""


class JobCancelledError(JobError):
    """The job was cancelled, by this task or by somebody else."""


class JobTimeoutError(JobError, TimeoutError):
    """The job did not end within the wait limit."""


class WaitError(JobError):
    """Waiting was given up after too much trouble in a row. The job goes on; a retry finds it again."""


class ResultGoneError(JobError, AirflowFailException):
    """The job succeeded, and its result can no longer be fetched. Nothing was submitted again."""


__all__ = [
    "ApiError",
    "AuthenticationError",
    "ComplianceError",
    "ConfigurationError",
    "ConflictError",
    "InvalidInputError",
    "InvalidRequestError",
    "JobCancelledError",
    "JobError",
    "JobFailedError",
    "JobInputError",
    "JobTimeoutError",
    "LedgerError",
    "MalformedResponseError",
    "NotFoundError",
    "NotReadyError",
    "PaidRequestsLimitError",
    "PermissionDeniedError",
    "PlanError",
    "ProviderError",
    "RateLimitedError",
    "ResultGoneError",
    "ServerError",
    "SubmissionLostError",
    "SubmitOutcomeUnknownError",
    "TransferError",
    "TransportError",
    "UndefinedConnectionError",
    "WaitError",
]
