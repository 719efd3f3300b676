"""Download links: signed, expiring, and useless once their maker's key is revoked."""

from dataclasses import dataclass

from itsdangerous import BadData, URLSafeTimedSerializer

from batch_jobs.deployments.api.errors import LinkInvalid


@dataclass(frozen=True)
class Link:
    """What a link gives: a file, in the name of a key."""

    file_key: str
    api_key_id: str


class Links:
    """Makes and reads the tokens of links.

    Args:
        secret: signs them.
        seconds: how long one is good for.
    """

    def __init__(self, secret: bytes, seconds: int) -> None:
        self._serializer = URLSafeTimedSerializer(secret, salt="download")
        self._seconds = seconds

    def token(self, link: Link) -> str:
        """The token that stands for a link."""
        return str(self._serializer.dumps([link.file_key, link.api_key_id]))

    def read(self, token: str) -> Link:
        """What a token stands for.

        Raises:
            LinkInvalid: it was not made here, was altered, or is too old.
        """
        try:
            file_key, api_key_id = self._serializer.loads(token, max_age=self._seconds)
        except (BadData, ValueError, TypeError):
            raise LinkInvalid from None
        return Link(file_key, api_key_id)
