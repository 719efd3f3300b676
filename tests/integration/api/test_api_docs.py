"""``docs/api.md``: its walks work, and Medusa's own client does."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from batch_jobs.deployments.api.app import ROUTERS
from batch_jobs.flows.access.keys import Role
from batch_jobs.flows.settings import Settings
from batch_jobs.flows.workspace import Workspace
from support.servers import free_port, wait_until

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs/api.md"
NODE = ROOT / "tests/node"
SERVE = [sys.executable, "-c", "from batch_jobs.deployments.cli.main import main; main()", "serve"]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)


@pytest.fixture
def variables(home: Path, prefect_server: dict[str, str]) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    port = str(free_port())
    own = {"BATCH_JOBS_HOME": str(home), "BATCH_JOBS_API_PORT": port, "PATH": path, "PYTHONPATH": str(ROOT)}
    return {**os.environ, **prefect_server, **own}


def test_the_page_names_every_route():
    text = PAGE.read_text()
    for router in ROUTERS:
        for route in router.routes:
            shown = route.path.replace("{job_id}", "{id}").replace("{batch_type}", "{type}")
            assert f"`{shown}" in text or f" {shown}" in text or f"`/{shown.rsplit('/', 1)[-1]}`" in text, shown


@pytest.mark.long
def test_the_walk_with_curl_works(variables: dict[str, str], tmp_path: Path):
    script = "trap 'kill $(jobs -p); wait' EXIT\n" + "\n".join(blocks("bash"))
    script = script.replace(":9000", f":{variables['BATCH_JOBS_API_PORT']}")

    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path, env=variables, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=180,
    )  # fmt: skip

    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{(tmp_path / 'serve.log').read_text()}"
    assert "event: end" in done.stdout


@pytest.fixture
def served(home: Path, variables: dict[str, str], tmp_path: Path) -> Iterator[dict[str, str]]:
    """Everything, served; yields the variables of a Node program."""
    if shutil.which("node") is None or not (NODE / "node_modules/@medusajs/medusa-js").exists():
        pytest.skip("Node or Medusa's client is missing: `npm install` in tests/node, as .ci/run does")
    address = f"http://127.0.0.1:{variables['BATCH_JOBS_API_PORT']}"
    key = Workspace(Settings(home=home)).api_keys.create("shop", Role.OPERATOR)[1]
    with (tmp_path / "serve.log").open("wb") as log:
        process = subprocess.Popen(SERVE, env=variables, stdout=log, stderr=log)
    try:
        wait_until(lambda: _answers(address), what="the API")
        yield {**variables, "NODE_PATH": str(NODE / "node_modules"), "API": address, "KEY": key}
    finally:
        process.terminate()
        process.wait(60)


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/readyz").status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.node
def test_medusa_s_client_goes_through_a_whole_scenario_and_the_page_s_walk(served: dict[str, str], tmp_path: Path):
    scenario = subprocess.run(
        ["node", str(NODE / "scenario.cjs")], env=served, capture_output=True, text=True, timeout=180, check=False
    )
    assert scenario.returncode == 0, scenario.stderr
    assert scenario.stdout == "the whole scenario\n"

    (block,) = blocks("js")
    (tmp_path / "walk.cjs").write_text(block.replace("http://127.0.0.1:9000", served["API"]))
    walk = subprocess.run(
        ["node", str(tmp_path / "walk.cjs")], env=served, capture_output=True, text=True, timeout=120, check=False
    )
    assert walk.stdout == "sku,title\nA1,Mug\nA2,Plate\n\n", walk.stderr
