"""What strategies bring for the page of their jobs."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from batch_jobs.flows.jobs.transitions import Action
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.sdk.testing import run_strategy
from support.api_server import Served
from support.visitors import visiting

STRATEGY = '''
from batch_jobs.strategies import BatchJobStrategy, JobRun


class Shown(BatchJobStrategy):
    """Is shown."""

    identifier, batch_type = "shown-strategy", "shown"

    def process(self, job: JobRun) -> None:
        """Nothing."""

    def build_template(self) -> str:
        return ""
'''


@pytest.fixture
def shows(serve: Callable[..., Served], no_prefect: None, tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Gives the view of a job whose strategy has a template."""
    folder = tmp_path / "strategies"
    folder.mkdir()
    (folder / "shown.py").write_text(STRATEGY)
    api = serve(strategies=str(folder))
    job = api.workspace.service.record("shown", {}, created_by="alice", dry_run=True)
    api.workspace.store.move(job, Action.PRE_PROCESS, who="test", plan={"shops": ["<b>North</b>"], "_own": "hidden"})
    alice = visiting(api, "alice")

    def show(template: str) -> str:
        (folder / "shown.page.html").write_text(template)
        answer = alice.get(f"/jobs/{job.id}")
        assert answer.status_code == 200
        return answer.text

    yield show


def test_its_template_is_shown_with_the_job_and_its_plan(shows: Callable[[str], str]):
    text = shows("<ul>{% for shop in plan.shops %}<li>{{ shop }} of {{ job.type }}</li>{% endfor %}</ul>")

    assert "<ul><li>&lt;b&gt;North&lt;/b&gt; of shown</li></ul>" in text
    assert "<p>once more</p>" in shows("<p>once more</p>")


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ plan.nothing.there }}", "UndefinedError"),
        ("{% for %}", "TemplateSyntaxError"),
        ("{{ ''.__class__.__mro__ }}", "SecurityError"),
        ("{{ job.context.update({'a': 1}) }}", "SecurityError"),
        ("{{ plan._own }}", "UndefinedError"),
        ("{% for a in range(1000000) %}{% endfor %}", "OverflowError"),
        ("{% for a in range(9999) %}{{ 'x' * 99 }}{% endfor %}", "it is longer than"),
        ("</section><p>out</p>", "has no beginning"),
        ("<div><!-- ", "is not ended"),
        ("<form>", "is not ended"),
        ("{% include 'shown.py' %}", "TypeError"),
    ],
)
def test_what_is_wrong_with_it_is_a_line_and_nothing_else_breaks(
    shows: Callable[[str], str], template: str, said: str, caplog: pytest.LogCaptureFixture
):
    text = shows(template)

    assert "What the type brings for this page cannot be shown: shown.page.html" in text
    assert said in text
    assert "<h2>History</h2>" in text
    assert "shown.page.html cannot be shown" in caplog.text


def test_the_example_of_the_docs_shows_a_plan_as_it_is(serve: Callable[..., Served], no_prefect: None, tmp_path: Path):
    folder = tmp_path / "strategies"
    folder.mkdir()
    text = (Path(__file__).parents[3] / "docs/writing-a-strategy.md").read_text()
    for name in ("supplier_prices.py", "supplier_prices.page.html"):
        (folder / name).write_text(text.split(f" strategies/{name}\n")[1].split("```")[0])
    api = serve(strategies=str(folder))
    with api.workspace.files.writing("supplier.csv") as stream:
        stream.write(b"Art.-Nr.;Net\nA-100;4.50\n00217;8.00\n")
    job = api.workspace.service.record("supplier-prices", {"file_key": "supplier.csv"}, created_by="alice")
    strategy, plans = api.workspace.strategies.get("supplier-prices"), []
    look = strategy.pre_process

    def noted(run: JobRun) -> None:
        look(run)
        plans.append(dict(run.plan))

    strategy.pre_process = noted  # type: ignore[method-assign]
    run_strategy(strategy, job.context, target=api.workspace.target, files=api.workspace.files, dry_run=True)
    api.workspace.store.move(job, Action.PRE_PROCESS, who="test", plan=plans[0])

    page = visiting(api, "alice").get(f"/jobs/{job.id}").text

    assert "<p>2 prices, with 20% VAT on top of each.</p>" in page
