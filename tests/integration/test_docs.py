"""The documentation's code blocks run, and its generated parts are up to date."""

import importlib
import importlib.util
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", "docs/writing-a-strategy.md", "docs/running-jobs.md", "docs/medusa.md", "docs/moving-shops.md"]
BLOCK = re.compile(r"^```(python|bash|html)(?: (\S+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass
class Block:
    language: str
    file: str | None
    text: str


def blocks(page: str) -> list[Block]:
    return [Block(*found.groups()) for found in BLOCK.finditer((ROOT / page).read_text())]


def generator() -> Any:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs/generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["job-table.md", "settings.md"])
def test_the_generated_parts_are_those_of_the_code(page: str):
    assert (ROOT / "docs" / page).read_text() == generator().generated(page), "run `python docs/generate.py`"


@pytest.mark.long
@pytest.mark.parametrize("page", PAGES)
def test_the_code_blocks_of_a_page_run(page: str, prefect_server: dict[str, str], tmp_path: Path):
    """A block with a file's name is that file; every other one is run, in the order of the page."""
    found = blocks(page)
    assert found
    folder = tmp_path / "strategies"
    folder.mkdir()
    environment = {
        **os.environ,
        **prefect_server,
        "BATCH_JOBS_HOME": str(tmp_path / "home"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    before = [Block("bash", None, BEFORE[page])] if page in BEFORE else []
    for block in [*before, *found]:
        if block.file:
            (tmp_path / block.file).write_text(block.text)
            continue
        command = ["bash", "-euc", block.text] if block.language == "bash" else [sys.executable, "-c", block.text]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=180,
        )
        assert done.returncode == 0, f"{block.text}\n{done.stdout}\n{done.stderr}"


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a clone")
def test_git_ignores_what_the_pages_write_into_a_clone():
    text = "\n".join(block.text for page in PAGES for block in blocks(page))
    written = {*re.findall(r"> (\w+\.csv)", text), *re.findall(r"sqlite:///(\w+\.db)", text)}

    asked = ["git", "check-ignore", "--no-index", *written, "examples/products.csv"]
    ignored = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True).stdout.split()

    assert written >= {"goods.csv", "products.csv"}
    assert set(ignored) == written


AIRPORTS = f"-c file_key=@{ROOT}/examples/airports.csv -c table=airports -c mode=upsert -c key=iata"
#: What a reader of a page has before its first block.
BEFORE = {
    "README.md": f"batch-jobs run table-import {AIRPORTS}",
    "docs/moving-shops.md": f"""
        batch-jobs db upgrade --commerce
        cp {ROOT}/tests/unit/shop/layouts/shopify.csv products_export.csv
        batch-jobs template product-import > product-export.csv
    """,
}


@pytest.mark.parametrize("module", ["strategies", "testing"])
def test_the_public_names_for_authors_are_all_documented(module: str):
    public = importlib.import_module(f"batch_jobs.{module}").__all__

    table = (ROOT / "docs/public-api.md").read_text().split(f"<!-- {module}")[1].split("<!-- end -->")[0]
    documented = re.findall(
        r"`(\w+)`", "\n".join(line.split("|")[1] for line in table.splitlines() if line.startswith("| `"))
    )

    assert sorted(documented) == sorted(public)
