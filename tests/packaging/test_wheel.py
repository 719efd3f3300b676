"""The built wheel in a Prefect project that has packages of its own by the names of our folders."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.command_line import Done
from support.servers import give_database, wait_until

ROOT = Path(__file__).parents[2]
PACKAGES = ("flows", "deployments", "strategies", "tests")
KINDS = ("frame", "update", "export", "plain")
SECONDS = 180
#: A strategy that uses the project's own packages, in the process of a job.
OWN_PACKAGES = '''
import deployments
import flows
from pydantic import BaseModel

from batch_jobs.strategies import BatchJobStrategy, JobRun


class OwnPackages(BatchJobStrategy):
    """Describe which packages a job imports."""

    identifier = "own-packages-strategy"
    batch_type = "own-packages"

    class Context(BaseModel):
        """There is nothing to choose."""

    def process(self, job: JobRun) -> None:
        """Describe them."""
        job.describe("flows", "Flows", flows.OWNER)
        job.describe("deployments", "Deployments", deployments.OWNER)

    def build_template(self) -> str:
        """It reads no file."""
        return ""
'''
PREFECT_YAML = """
name: shop
deployments:
  - name: nightly
    entrypoint: batch_jobs.flows.catalog.square_numbers
    work_pool:
      name: batch-jobs
    parameters:
      context:
        rows: 10
"""


@dataclass(frozen=True)
class Project:
    """A folder with packages of its own, and the commands of an environment that has the wheel."""

    folder: Path
    bin: Path

    @property
    def environment(self) -> dict[str, str]:
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("BATCH_JOBS_", "PREFECT_"))}
        return {
            **ours,
            "PATH": f"{self.bin}{os.pathsep}{ours['PATH']}",
            "PYTHONPATH": str(self.folder),
            "BATCH_JOBS_API_PORT": "0",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
        }

    def __call__(self, *command: str, **variables: str) -> Done:
        """Run a command of the environment in the project, which is to succeed."""
        ended = subprocess.run(
            [str(self.bin / command[0]), *command[1:]],
            cwd=self.folder,
            env={**self.environment, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        assert ended.returncode == 0, f"{command}\n{ended.stdout}\n{ended.stderr}"
        return Done(ended.returncode, ended.stdout, ended.stderr)

    @contextmanager
    def running(self, command: str, **variables: str) -> Iterator[str]:
        """Run ``serve`` or ``worker`` while the block does; yields what it has printed when it takes up jobs."""
        log = self.folder / f"{command}.log"
        with log.open("wb") as printed:
            process = subprocess.Popen(
                [str(self.bin / "batch-jobs"), command],
                cwd=self.folder,
                env={**self.environment, **variables},
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=printed,
                start_new_session=True,
            )
        try:
            wait_until(lambda: "Ctrl-C stops" in log.read_text() or process.poll() is not None, SECONDS, command)
            assert process.poll() is None, log.read_text()
            yield log.read_text()
        finally:
            process.terminate()
            process.wait(timeout=SECONDS)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a clean copy of what git has or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    if listed.returncode:
        pytest.skip(f"not a git clone: {listed.stderr.strip()}")
    copy, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    _pip("wheel", "--no-build-isolation", "--no-deps", "--no-index", "--wheel-dir", str(built), str(copy))
    [found] = built.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def project(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in an environment that has the wheel, and what it needs from ours."""
    home = tmp_path_factory.mktemp("project")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home / "venv")], check=True)
    python = home / "venv/bin/python"
    _pip("--python", str(python), "install", "--no-deps", "--no-index", "--ignore-installed", str(wheel))
    # A folder that a .pth file names has its own .pth files left out, so our editable installation is not seen.
    [packages] = (home / "venv/lib").glob("python*/site-packages")
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    folder = home / "shop"
    for name in PACKAGES:
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(f'OWNER = "{name} of the shop"\n')
    made = Project(folder, home / "venv/bin")
    made("batch-jobs", "new", "strategy", "square-numbers")
    (folder / "strategies/own_packages.py").write_text(OWN_PACKAGES)
    (folder / "prefect.yaml").write_text(PREFECT_YAML)
    return made


@pytest.fixture(scope="module")
def author(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """What was an empty folder, with a new strategy of each kind."""
    made = Project(tmp_path_factory.mktemp("author"), project.bin)
    for kind in KINDS:
        made("batch-jobs", "new", "strategy", f"my-{kind}", f"--{kind}")
    return made


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_wheel_holds_one_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = [Path(name) for name in archive.namelist()]
    files = [name for name in names if not name.parts[0].endswith(".dist-info")]

    assert {file.parts[0] for file in files} == {"batch_jobs"}
    assert {str(file) for file in files if file.suffix != ".py"} == {
        "batch_jobs/py.typed",
        "batch_jobs/flows/migrations/script.py.mako",
        *(
            f"batch_jobs/{template.relative_to(ROOT)}"
            for folder in ("cli/templates", "web/templates", "web/static", "web/locale")
            for template in (ROOT / "deployments" / folder).rglob("*")
            if template.is_file() and template.suffix not in (".py", ".pyc")
        ),
    }
    assert not [file for file in files if "tests" in file.parts]


def test_the_wheel_is_what_the_project_imports(project: Project) -> None:
    said = project(
        "python",
        "-c",
        "import batch_jobs, batch_jobs.flows, flows; print(batch_jobs.flows.__file__, flows.OWNER)"
        "; from importlib.metadata import version; assert batch_jobs.__version__ == version('prefect-batch-jobs')",
    ).out

    assert said.startswith(str(project.bin.parent))
    assert said.endswith("flows of the shop\n")


@pytest.mark.long
def test_a_new_strategy_is_found_tested_and_type_checked(project: Project) -> None:
    assert "square-numbers" in project("batch-jobs", "strategies").out
    assert "2 passed" in project("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests").out
    assert_typed(project, "strategies/square_numbers.py")


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_the_tests_of_a_new_strategy_of_each_kind_pass_in_an_empty_folder(author: Project, kind: str) -> None:
    command = ["python", "-m", "pytest", "-q", "-p", "no:cacheprovider", f"tests/test_my_{kind}.py"]

    said = author(*command, BATCH_JOBS_TEST_POSTGRESQL="").out

    assert " passed" in said
    assert "skipped" not in said


@pytest.mark.long
def test_strategies_of_each_kind_and_their_tests_pass_mypy_in_its_strict_mode(author: Project) -> None:
    assert_typed(author, "strategies", "tests")


def assert_typed(project: Project, *paths: str) -> None:
    if (ROOT / ".mypy_cache").is_dir():  # what `make check` has found out about libraries: 7 of 8 s
        shutil.copytree(ROOT / ".mypy_cache", project.folder / ".mypy_cache")
    assert "Success" in project("python", "-m", "mypy", "--strict", *paths).out


@pytest.mark.long
def test_jobs_run_beside_packages_of_the_same_names(project: Project) -> None:
    """By ``run``, under ``serve``, and under a ``worker`` from a deployment that ``prefect deploy`` made."""
    home = project.folder / ".batch-jobs/prefect"
    home.mkdir(parents=True)
    give_database(home)
    with project.running("serve") as said:
        [address] = [line.split()[-1] for line in said.splitlines() if line.startswith("Prefect UI")]
        asked_for = (home.parent / "prefect.auth").read_text()
        prefect = {"PREFECT_API_URL": f"{address}/api", "PREFECT_API_AUTH_STRING": asked_for}
        here = project("batch-jobs", "run", "square-numbers", "-c", "rows=3", "--json").json
        project("batch-jobs", "create", "own-packages", "--wait")
        [served] = project("batch-jobs", "list", "--type", "own-packages", "--json").json
        with project.running("worker", **prefect):
            project("python", "-m", "prefect", "--no-prompt", "deploy", "--all", **prefect)
            project("python", "-m", "prefect", "deployment", "run", "square-numbers/nightly", "--watch", **prefect)
        deployed = project("batch-jobs", "list", "--type", "square-numbers", "--json").json[0]

    assert (here["status"], here["result"]["created"]) == ("completed", 3)
    assert served["status"] == "completed"
    described = {line["key"]: line["message"] for line in served["result"]["stat_descriptors"]}
    assert described == {"flows": "flows of the shop", "deployments": "deployments of the shop"}
    assert (deployed["status"], deployed["result"]["created"]) == ("completed", 10)
