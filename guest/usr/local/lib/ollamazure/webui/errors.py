"""Errors of the tool for Open WebUI."""


class WebuiError(Exception):
    """What failed, in words for the operator."""


class RefusedError(WebuiError):
    """Open WebUI's answer to a request that it refused, with the HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class NoAnswerError(WebuiError):
    """No answer; `sent` tells whether Open WebUI may have processed the request."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent
