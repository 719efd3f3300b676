"""Finding strategies: beside this folder, in installed packages, in the folders of the settings."""

import importlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha1
from importlib.metadata import entry_points
from inspect import getfile
from pathlib import Path
from types import ModuleType

from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.errors import StrategyFileBroken, StrategyUnknown, line_in

ENTRY_POINT_GROUP = "batch_jobs.strategies"
#: A file directly in this folder is a strategy; what strategies are made of lies in folders beside them.
BUILT_IN = Path(__file__).parents[1]

StrategyClass = type[BatchJobStrategy]


@dataclass
class Registry:
    """The strategies there are, by type, and the files that could not be loaded."""

    by_type: dict[str, StrategyClass] = field(default_factory=dict)
    broken: list[StrategyFileBroken] = field(default_factory=list)

    def get(self, batch_type: str) -> BatchJobStrategy:
        """Return a new instance of the strategy of this type.

        Raises:
            StrategyUnknown: there is none.
        """
        if batch_type not in self.by_type:
            raise StrategyUnknown(batch_type, sorted(self.by_type), len(self.broken))
        return self.by_type[batch_type]()


def load_strategies(folders: Iterable[Path] = ()) -> Registry:
    """Load every strategy: built in, then from installed packages and folders, which override built-in types.

    A file that fails to load is reported in ``broken`` and hides no other; two strategies of one type or identifier
    from the same level are both refused there, naming both files.
    """
    registry = Registry()
    built_in = list(_from_folder(BUILT_IN, registry.broken))
    added = [
        *_from_entry_points(registry.broken),
        *(found for folder in folders for found in _from_folder(folder, registry.broken)),
    ]
    for level in (built_in, added):
        unique = _without_duplicates(level, registry.broken)
        registry.by_type.update({strategy.batch_type: strategy for strategy in unique})
    return registry


def origin_of(strategy: StrategyClass) -> Path:
    """The file that defines a strategy."""
    return Path(getfile(strategy))


def _from_folder(folder: Path, broken: list[StrategyFileBroken]) -> Iterator[StrategyClass]:
    if not folder.is_dir():
        broken.append(StrategyFileBroken(folder, "there is no such folder; BATCH_JOBS_STRATEGIES names it"))
        return
    for file in sorted(folder.glob("*.py") if folder == BUILT_IN else folder.rglob("*.py")):
        if not _is_skipped(file.relative_to(folder)):
            yield from _from_module(file, folder, broken)


def _is_skipped(file: Path) -> bool:
    return (
        any(part.startswith(("_", ".")) for part in file.parts)
        or file.name.startswith("test_")
        or "tests" in file.parts
    )


def _from_module(file: Path, folder: Path, broken: list[StrategyFileBroken]) -> Iterator[StrategyClass]:
    try:
        module = _import_file(file, folder)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever a user's file raises, an exit too, the others are to be found
        broken.append(StrategyFileBroken(file, f"{type(error).__name__}: {_one_line(error)}", line_in(file, error)))
        return
    yield from _strategies_in(module)


def _import_file(file: Path, folder: Path) -> ModuleType:
    if folder == BUILT_IN:
        return importlib.import_module(f"batch_jobs.strategies.{file.stem}")
    folder_id = sha1(str(folder.resolve()).encode()).hexdigest()[:8]
    name = ".".join((f"batch_jobs_strategies_{folder_id}", *file.relative_to(folder).with_suffix("").parts))
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError("it is not a Python file")
    package = name.partition(".")[0]  # pickle, which pools of processes are given work by, imports that too
    sys.modules.setdefault(package, ModuleType(package))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _from_entry_points(broken: list[StrategyFileBroken]) -> Iterator[StrategyClass]:
    for entry_point in entry_points(group=ENTRY_POINT_GROUP):
        try:
            loaded = entry_point.load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # as above: a broken package hides no other
            broken.append(
                StrategyFileBroken(f"entry point {entry_point.value}", f"{type(error).__name__}: {_one_line(error)}")
            )
            continue
        yield from [loaded] if isinstance(loaded, type) else _strategies_in(loaded)


def _strategies_in(module: ModuleType) -> Iterator[StrategyClass]:
    for value in vars(module).values():
        is_strategy = isinstance(value, type) and issubclass(value, BatchJobStrategy) and hasattr(value, "batch_type")
        if is_strategy and value.__module__ == module.__name__:
            yield value


def _without_duplicates(level: list[StrategyClass], broken: list[StrategyFileBroken]) -> list[StrategyClass]:
    clashing: set[StrategyClass] = set()
    for attribute in ("batch_type", "identifier"):
        first: dict[str, StrategyClass] = {}
        for strategy in level:
            name = getattr(strategy, attribute)
            other = first.setdefault(name, strategy)
            if other is not strategy:
                broken.append(
                    StrategyFileBroken(
                        origin_of(strategy),
                        f"{attribute} {name!r} is also that of {origin_of(other)}; both are left out",
                    )
                )
                clashing |= {strategy, other}
    return [strategy for strategy in level if strategy not in clashing]


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or "it raised no message"
