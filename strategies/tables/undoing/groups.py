"""Rows that go back together or not at all, such as a product with its variants and prices."""

from collections.abc import Callable

from sqlalchemy import Connection

from batch_jobs.strategies.tables.databases.savepoint import savepoint
from batch_jobs.strategies.tables.undoing.blocks import Fate
from batch_jobs.strategies.tables.undoing.keeping import Kept, Why
from batch_jobs.strategies.tables.undoing.log import Logged

Fates = list[tuple[Logged, Fate]]


class _Torn(Exception):
    """Of rows that go back together, some stay."""


def together(connection: Connection, act: Callable[[frozenset[str]], Fates]) -> Fates:
    """Do something to the blocks of a chunk, of each group to all rows or to none.

    Args:
        connection: in whose transaction it is done; what was done for groups that stay is taken back.
        act: does it to all rows but those of some groups, and says what became of each.
    """
    torn: frozenset[str] = frozenset()
    reasons: dict[tuple[int, int], Kept] = {}
    while True:
        try:
            with savepoint(connection):
                fates = act(torn)
                more = frozenset().union(*(_torn(logged, fate) for logged, fate in fates)) - torn
                if more:
                    reasons |= _reasons(fates)
                    raise _Torn
        except _Torn:
            torn |= more
            continue
        for logged, fate in fates:
            fate.kept |= {row: reasons.get((logged.number, row), kept) for row, kept in fate.kept.items()}
        return fates


def _reasons(fates: Fates) -> dict[tuple[int, int], Kept]:
    """Why rows stay by themselves, by the number of their block and their index in it."""
    return {
        (logged.number, row): kept
        for logged, fate in fates
        for row, kept in fate.kept.items()
        if kept.why is not Why.GROUP
    }


def _torn(logged: Logged, fate: Fate) -> frozenset[str]:
    """The groups of rows that stay."""
    groups = logged.groups if fate.kept else []
    return frozenset(group for index in fate.kept if (group := groups[index]) is not None)
