"""Errors of the HTTP API, each one sentence; ``failures`` gives them their status."""

from batch_jobs.strategies.sdk.errors import BatchJobError


class NotLoggedIn(BatchJobError):
    """No key, or none that works."""

    def __init__(self) -> None:
        super().__init__(
            "a key is needed in the header x-medusa-access-token or Authorization: Bearer; `batch-jobs keys create`"
            " makes one"
        )


class NotPermitted(BatchJobError):
    """The key's role or types do not allow it."""


class TooManyRequests(BatchJobError):
    """More requests than the rate limit allows."""

    def __init__(self, rate: str, seconds: int) -> None:
        self.seconds = seconds
        super().__init__(f"more requests than {rate}; try again in {seconds} s")


class InputWrong(BatchJobError):
    """A query, header or body that cannot be used; the text names the field, as Medusa's do."""


class TooLarge(BatchJobError):
    """A body with more bytes than are taken."""

    def __init__(self, what: str, limit: int) -> None:
        super().__init__(f"{what} may have at most {limit} bytes")


class TooSlow(BatchJobError):
    """A body that did not come, or not in time."""


class WrongMediaType(BatchJobError):
    """A body in a form that is not read."""


class NotYours(BatchJobError):
    """Somebody else's job, told as Medusa does, which also tells that it is there."""

    def __init__(self) -> None:
        super().__init__("Cannot access a batch job that does not belong to the logged in user")


class NothingThere(BatchJobError):
    """A job has no such file, a strategy no template."""


class LinkInvalid(BatchJobError):
    """A download link that was not made here, is too old, or whose maker's key was revoked."""

    def __init__(self) -> None:
        super().__init__("the link is not valid or no longer; ask for a new one")


class FileInUse(BatchJobError):
    """A job's file while the job is not ended."""

    def __init__(self, key: str) -> None:
        super().__init__(f"{key} belongs to a job that has not ended; nothing was deleted")


class TooManyStreams(BatchJobError):
    """More open streams than one key may have."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"this key has {limit} open streams; close one, or ask for the job again and again instead")
