"""``confirm``, ``retry``, ``resume``, ``cancel`` and ``pause``: what a person may do to a job."""

from collections.abc import Callable
from functools import partial

from batch_jobs.deployments.cli import output, reports
from batch_jobs.deployments.cli.leaving_out import (
    LeftOut,
    LeftOutColumns,
    LeftOutKeys,
    LeftOutKinds,
    LeftOutLines,
    LeftOutRules,
    OnlyKinds,
    what_is_left_out,
)
from batch_jobs.deployments.cli.options import AsJson, Here, JobId, Verbose
from batch_jobs.deployments.cli.running import running_here, start_in_prefect
from batch_jobs.deployments.login import login_name
from batch_jobs.flows.errors import NotLaunched
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.process_identity import ProcessIdentity
from batch_jobs.flows.workspace import current_workspace

#: An action of the service after which a job goes on: id, who, and the process that it goes on in.
Action = Callable[[str, str, ProcessIdentity | None], Job]


def confirm(
    job_id: JobId,
    columns: LeftOutColumns = None,
    kinds: LeftOutKinds = None,
    only: OnlyKinds = None,
    keys: LeftOutKeys = None,
    lines: LeftOutLines = None,
    rules: LeftOutRules = None,
    leave_out: LeftOut = None,
    here: Here = False,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Say yes to what a dry run showed; the job goes on. Parts of an import may be left out."""
    wish = what_is_left_out(leave_out, columns, kinds, only, keys, lines, rules)
    _go_on(partial(current_workspace().service.confirm, leave_out=wish), job_id, here, as_json, verbose)


def retry(job_id: JobId, here: Here = False, as_json: AsJson = False, verbose: Verbose = False) -> None:
    """Try a failed job again, from its last checkpoint and under the same id."""
    service = current_workspace().service
    # a job that was recorded and never started has nothing to be tried again, it is only to be run
    waits = service.get(job_id).waits_for_prefect
    _go_on(_unchanged if waits else service.retry, job_id, here, as_json, verbose)


def resume(job_id: JobId, here: Here = False, as_json: AsJson = False, verbose: Verbose = False) -> None:
    """Let a paused job go on."""
    _go_on(current_workspace().service.resume, job_id, here, as_json, verbose)


def cancel(job_id: JobId, as_json: AsJson = False) -> None:
    """Stop a job for good, at its next chunk edge when it runs."""
    reports.print_status(current_workspace().service.cancel(job_id, login_name()), as_json)


def pause(job_id: JobId, as_json: AsJson = False) -> None:
    """Stop a job at its next chunk edge, to go on later."""
    reports.print_status(current_workspace().service.pause(job_id, login_name()), as_json)


def _go_on(action: Action, job_id: str, here: bool, as_json: bool, verbose: bool) -> None:
    workspace = current_workspace()
    job = action(job_id, login_name(), ProcessIdentity.current() if here else None)
    if here:
        with running_here(workspace, job, verbose) as run_job:
            job = run_job(job)
        reports.finish(job, as_json)
        return
    try:
        job = start_in_prefect(workspace, job)
    except NotLaunched as error:
        output.hint(f"warning: {error}")
    reports.print_status(job, as_json)


def _unchanged(job_id: str, _who: str, _worker: ProcessIdentity | None) -> Job:
    return current_workspace().service.get(job_id)
