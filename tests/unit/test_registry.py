"""Finding strategies."""

from pathlib import Path

import pytest

from batch_jobs.strategies.sdk import registry
from batch_jobs.strategies.sdk.errors import StrategyUnknown
from batch_jobs.strategies.sdk.registry import load_strategies

STRATEGY = """
from batch_jobs.strategies.sdk.base import BatchJobStrategy

class {name}(BatchJobStrategy):
    identifier = "{identifier}"
    batch_type = "{batch_type}"

    def process(self, job):
        pass

    def build_template(self):
        return ""
"""


def write(folder: Path, file: str, **names: str) -> Path:
    values = {"name": "Mine", "identifier": "mine-strategy", "batch_type": "mine", **names}
    path = folder / file
    path.write_text(STRATEGY.format(**values))
    return path


def test_a_file_dropped_into_a_folder_is_found(tmp_path: Path):
    write(tmp_path, "mine.py")
    assert load_strategies([tmp_path]).get("mine").identifier == "mine-strategy"


def test_the_built_in_strategies_load_without_complaint():
    found = load_strategies()
    assert {"table-import", "table-export"} <= set(found.by_type)
    assert found.broken == []


def test_a_broken_file_is_told_by_name_and_hides_no_other(tmp_path: Path):
    write(tmp_path, "mine.py")
    (tmp_path / "broken.py").write_text("import nothing_of_this_name\n")
    (tmp_path / "exits.py").write_text("\nraise SystemExit(3)\n")
    (tmp_path / "worse.py").write_text("def (:\n")
    found = load_strategies([tmp_path])
    assert "mine" in found.by_type
    assert [Path(broken.origin).name for broken in found.broken] == ["broken.py", "exits.py", "worse.py"]
    assert "exits.py line 2: SystemExit: 3" in str(found.broken[1])
    assert "No module named 'nothing_of_this_name'" in str(found.broken[0])


def test_an_incomplete_strategy_is_told_by_its_file(tmp_path: Path):
    (tmp_path / "half.py").write_text(
        "from batch_jobs.strategies.sdk.base import BatchJobStrategy\nclass Half(BatchJobStrategy): pass\n"
    )
    (broken,) = load_strategies([tmp_path]).broken
    assert "half.py" in str(broken)
    assert "Half lacks identifier" in str(broken)


@pytest.mark.parametrize(
    ("second", "clash"),
    [
        ({"identifier": "other-strategy"}, "batch_type 'mine' is also that of"),
        ({"batch_type": "other"}, "identifier 'mine-strategy' is also that of"),
    ],
)
def test_two_strategies_of_one_name_are_refused_naming_both_files(tmp_path: Path, second: dict[str, str], clash: str):
    write(tmp_path, "first.py")
    write(tmp_path, "second.py", **second)
    found = load_strategies([tmp_path])
    assert "mine" not in found.by_type
    (broken,) = found.broken
    assert clash in str(broken)
    assert "first.py" in str(broken)
    assert "second.py" in str(broken)


def test_a_strategy_of_a_folder_overrides_the_built_in_of_its_type(tmp_path: Path):
    write(tmp_path, "mine.py", batch_type="table-export")
    assert load_strategies([tmp_path]).get("table-export").identifier == "mine-strategy"


def test_a_strategy_of_an_installed_package_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path, "shop_strategies.py")
    info = tmp_path / "shop-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: shop\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{registry.ENTRY_POINT_GROUP}]\nmine = shop_strategies:Mine\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert load_strategies().get("mine").identifier == "mine-strategy"


def test_a_folder_that_is_not_there_is_told(tmp_path: Path):
    (broken,) = load_strategies([tmp_path / "nowhere"]).broken
    assert "there is no such folder" in str(broken)


def test_an_unknown_type_is_an_error_that_lists_what_there_is(tmp_path: Path):
    write(tmp_path, "mine.py")
    with pytest.raises(StrategyUnknown, match=r"no strategy has the type 'yours'; there are .*mine"):
        load_strategies([tmp_path]).get("yours")


def test_a_misspelt_type_is_answered_with_the_nearest_one():
    with pytest.raises(StrategyUnknown, match=r"'table-imprt'.*; did you mean table-import\?"):
        load_strategies().get("table-imprt")
