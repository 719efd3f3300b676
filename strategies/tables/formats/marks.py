"""Places of an input at which reading can begin, few enough to be kept with a job's plan."""

from dataclasses import dataclass
from typing import Any

MOST_MARKS = 256


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a batch begins: its ``start`` (``None`` at the input's own), its line, and the rows before it."""

    start: dict[str, Any] | None
    line: int
    rows: int


class Marks:
    """Takes marks in the order of the input and keeps at most so many, evenly, however long it turns out to be."""

    def __init__(self, most: int = MOST_MARKS) -> None:
        self.kept: list[Mark] = []
        self._most = most
        self._places: list[int] = []
        self._apart = 0

    def add(self, mark: Mark, place: int) -> None:
        """Take a mark, whose place grows from one to the next by what it takes to read on to it."""
        if self._places and place - self._places[-1] < self._apart:
            return
        self.kept.append(mark)
        self._places.append(place)
        if len(self.kept) > self._most:
            self._apart = max(1, 2 * place // self._most)
            self._thin_out()

    def _thin_out(self) -> None:
        marks, places = self.kept, self._places
        self.kept, self._places = [], []
        for mark, place in zip(marks, places, strict=True):
            self.add(mark, place)
