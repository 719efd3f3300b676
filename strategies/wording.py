"""Numbers of rows in words."""


def rows_told(number: int) -> str:
    """``1 row``, ``2,000 rows``."""
    return f"{number:,} row{'' if number == 1 else 's'}"
