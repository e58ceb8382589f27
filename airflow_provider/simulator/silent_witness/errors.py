"""The error body of Silent Witness (https://docs.silentwitness.ai/api-reference/errors)."""

from __future__ import annotations

from airflow_provider.simulator.limits import Verdict
from airflow_provider.simulator.replies import Reply, json_reply

_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_DEFAULTS = {
    400: ("invalid_request", "Invalid request"),
    401: ("unauthorized", "Invalid API key"),
    403: ("permission_denied", "Permission denied"),
    404: ("not_found", "Not found"),
    405: ("method_not_allowed", "Method not allowed"),
    409: ("conflict", "Conflict"),
    422: ("unprocessable", "Request cannot be processed"),
    429: ("too_many_requests", "Rate limit exceeded"),
    500: ("internal_error", "Internal server error"),
}


class Problem(Exception):
    """Ends a handler with an error.

    :param code: ``error_code``, what a client branches on.
    :param param: ``error_param``, when one input field is at fault.
    """

    def __init__(self, status: int, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.param = param
        #: of a 429: what the window says
        self.verdict: Verdict | None = None

    def reply(self, request_id: str) -> Reply:
        """The body of the newest generation."""
        body = {
            "success": False,
            "error": self.message,
            "error_code": self.code,
            "error_type": _TYPES.get(
                self.status, "api_error" if self.status >= 500 else "invalid_request_error"
            ),
        }
        if self.param:
            body["error_param"] = self.param
        body["request_id"] = request_id
        return json_reply(self.status, body)


def default_problem(status: int) -> Problem:
    """What goes with a status when nothing more is known."""
    return Problem(status, *_DEFAULTS.get(status, ("service_unavailable", "Service unavailable")))


def case_not_found(param: str = "id") -> Problem:
    """404: unknown case, or one of another account."""
    return Problem(404, "case_not_found", "Case not found", param)
