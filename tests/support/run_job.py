"""Goes on with a job in this process, as ``batch-jobs run`` and ``batch-jobs retry --here`` do."""

import sys

from flows.catalog import FLOWS
from flows.process_identity import ProcessIdentity
from flows.transitions import Status
from flows.workspace import current_workspace

job_id = sys.argv[1]
service = current_workspace().service
job = service.bury(job_id)
if job.status is Status.FAILED:
    job = service.retry(job_id, who="test", worker=ProcessIdentity.current())
FLOWS[job.type](context=job.context, dry_run=job.dry_run, job_id=job_id)
