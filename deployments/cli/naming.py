"""The three spellings of a new strategy's name."""

import keyword
import re
from dataclasses import dataclass

from deployments.errors import UsageRefused


@dataclass(frozen=True)
class StrategyName:
    """A name as file, as batch type and as class: ``retire_skus``, ``retire-skus``, ``RetireSkus``."""

    snake: str

    @classmethod
    def parse(cls, given: str) -> "StrategyName":
        """Read a name in any of the three spellings.

        Raises:
            UsageRefused: it is not a name.
        """
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]*([_-][A-Za-z0-9]+)*", given):
            raise UsageRefused(
                f"{given!r} is no name for a strategy; use letters, digits and dashes, such as retire-old-skus"
            )
        spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", given)
        snake = spaced.replace("-", "_").lower()
        if keyword.iskeyword(snake):
            raise UsageRefused(f"{given!r} is a word of Python and no name for a strategy")
        return cls(snake)

    @property
    def kebab(self) -> str:
        """As batch type."""
        return self.snake.replace("_", "-")

    @property
    def camel(self) -> str:
        """As class."""
        return "".join(part.capitalize() for part in self.snake.split("_"))

    @property
    def words(self) -> str:
        """As the start of a sentence."""
        return self.snake.replace("_", " ").capitalize()
