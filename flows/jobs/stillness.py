"""Since when something has shown no sign of life, as this process has seen it: no two clocks are compared for that."""

import time
from collections.abc import Callable, Hashable, Mapping

#: Two looks that are further apart than this part of the timeout, and than these seconds, are no watching.
GAP_PER_TIMEOUT = 0.5
SHORTEST_GAP = 5.0


class Stillness:
    """Looks now and then at marks that change with each sign of life, and says how long each was the same.

    What could not be looked at counts for nothing: after a gap or ``forget`` all of it begins anew. So nobody is taken
    for dead who could give no sign, as where they are recorded was away, or was not looked at.

    Args:
        clock: seconds that only go forward.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._looked_at = 0.0
        self._since: dict[str, tuple[Hashable, float]] = {}

    def look(self, marks: Mapping[str, Hashable], timeout: float) -> Mapping[str, float]:
        """Take down what is to be seen now; return for how many seconds each mark was seen to be the same.

        Args:
            marks: by the name of what shows them.
            timeout: how long a mark is the same before anything follows from it.
        """
        now = self._clock()
        if now - self._looked_at > max(GAP_PER_TIMEOUT * timeout, SHORTEST_GAP):
            self.forget()
        self._looked_at = now
        before, self._since = self._since, {}
        for name, mark in marks.items():
            known = before.get(name)
            self._since[name] = known if known is not None and known[0] == mark else (mark, now)
        return {name: now - since for name, (_, since) in self._since.items()}

    def forget(self) -> None:
        """Begin anew, as something could not be looked at."""
        self._since = {}
