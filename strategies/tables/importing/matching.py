"""Which column of a file is likely meant by which of the target: a proposal, by their names alone."""

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import product

Names = Mapping[str, None]
Fold = Callable[[str], str]
#: The further forms of a folded name.
Forms = Callable[[str], list[str]]
#: How German is written where there are no umlauts.
UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})


def propose(file_columns: Iterable[str], target_columns: Iterable[str]) -> dict[str, str]:
    """The column of the target that each column of a file is likely meant for; those without one are left out.

    Names are compared in rounds, each among what the rounds before left on both sides:

    1. as they are;
    2. by their letters and digits alone, in whatever case and without accents: ``Café No`` and ``cafe_no``;
    3. so, with umlauts written out: ``Größe`` and ``groesse``;
    4. so, one being the other's plural in English: ``Prices`` and ``price``, ``category`` and ``Categories``.

    Two columns become a pair where each is the only one that the other may be paired with in the round.

    Args:
        file_columns: of the file.
        target_columns: those that something may go into.

    Returns:
        File column -> column of the target, in the order of the file; no column of the target twice.
    """
    names = list(dict.fromkeys(file_columns))
    file, target = dict.fromkeys(names), dict.fromkeys(target_columns)
    found: dict[str, str] = {}
    for fold, other_forms in ROUNDS:
        for name, column in _pairs(file, target, fold, other_forms):
            found[name] = column
            del file[name], target[column]
    return {name: found[name] for name in names if name in found}


def _pairs(file: Names, target: Names, fold: Fold, other_forms: Forms) -> list[tuple[str, str]]:
    """Those that have each other alone."""
    here, there = _by_form(file, fold), _by_form(target, fold)
    edges = {
        *((name, column) for form, names in here.items() for name in names for column in there.get(form, ())),
        *_edges(here, there, other_forms),
        *((name, column) for column, name in _edges(there, here, other_forms)),
    }
    names, columns = Counter(name for name, _ in edges), Counter(column for _, column in edges)
    return [(name, column) for name, column in edges if names[name] == columns[column] == 1]


def _edges(
    these: Mapping[str, list[str]], those: Mapping[str, list[str]], other_forms: Forms
) -> Iterator[tuple[str, str]]:
    for form, names in these.items():
        for other in other_forms(form):
            yield from product(names, those.get(other, ()))


def _by_form(names: Names, fold: Fold) -> dict[str, list[str]]:
    forms: dict[str, list[str]] = {}
    for name in names:
        if form := fold(name):
            forms.setdefault(form, []).append(name)
    return forms


def _as_it_is(name: str) -> str:
    return name


def _folded(name: str) -> str:
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", name).casefold())
    return "".join(letter for letter in plain if letter.isalnum())


def _written_out(name: str) -> str:
    return _folded(unicodedata.normalize("NFKC", name).casefold().translate(UMLAUTS))


def _plurals(form: str) -> list[str]:
    return [f"{form}s", f"{form}es", *([f"{form[:-1]}ies"] if form.endswith("y") else [])]


def _none(form: str) -> list[str]:
    return []


ROUNDS: tuple[tuple[Fold, Forms], ...] = (
    (_as_it_is, _none),
    (_folded, _none),
    (_written_out, _none),
    (_written_out, _plurals),
)
