"""Times as people and programs write them."""

from datetime import UTC, datetime


def parse_time(text: str) -> datetime:
    """A time by the calendar (ISO 8601), in UTC; without a zone it is in UTC already.

    Raises:
        ValueError: it is none.
    """
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, OverflowError) as error:
        raise ValueError from error
