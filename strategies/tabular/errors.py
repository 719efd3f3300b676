"""What is wrong with an input file as a whole."""

from strategies.errors import JobRefused


class InputRefused(JobRefused):
    """The input cannot be read as the table it should be; nothing was written."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}; nothing was written")
