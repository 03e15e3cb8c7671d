"""What a simulated DSS refuses; which status and class each has is in `app`."""


class BadRequestError(ValueError):
    """A parameter or a body that cannot be read."""


class NotAuthenticatedError(Exception):
    """No key, or one that nobody knows."""


class NotAllowedError(Exception):
    """A known key asks for a project that it does not open, or for what it may not do there."""


class UnknownError(LookupError):
    """There is no project, scenario, run, fire, job or output of that name; the message says which."""
