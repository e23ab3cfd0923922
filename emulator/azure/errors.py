"""Azure's errors: a code, a message, an HTTP status, sometimes the property at fault."""

from __future__ import annotations

from typing import Any


class AzureError(Exception):
    """Azure refuses a request, or fails to carry it out.

    `code` and `message` are Azure's own words, `status` the HTTP status, `target` the property.
    `retry_after` is the header Retry-After: how many seconds a client waits before it tries again.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int = 400,
        target: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.target = target
        self.retry_after = retry_after

    def body(self) -> dict[str, Any]:
        """The error as ARM writes it into a response."""
        error = {"code": self.code, "message": self.message, "target": self.target}
        return {"error": {name: value for name, value in error.items() if value is not None}}


def invalid_parameter(message: str, target: str) -> AzureError:
    """Compute's usual refusal of a value."""
    return AzureError("InvalidParameter", message, target=target)


def change_not_allowed(target: str) -> AzureError:
    """Compute's refusal of a change that needs a new resource."""
    return AzureError(
        "PropertyChangeNotAllowed",
        f"Changing property '{target}' is not allowed.",
        status=409,
        target=target,
    )


def method_not_allowed(method: str) -> AzureError:
    """ARM's refusal of a method that a resource type does not have."""
    return AzureError(
        "MethodNotAllowed",
        f"The requested resource does not support http method '{method}'.",
        status=405,
    )


def not_emulated(what: str, target: str | None = None) -> AzureError:
    """A limit of the emulator. The code is not one of Azure's, so that users do not look it up."""
    return AzureError(
        "NotEmulated",
        f"{what}. Azure may allow it; the emulated Azure does not know it "
        "(docs/explanation/emulator.md).",
        status=501,
        target=target,
    )
