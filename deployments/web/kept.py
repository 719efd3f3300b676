"""What somebody has ticked or entered for a job so far, kept with the job: closing the page loses none of it."""

import json
from typing import Any

from batch_jobs.strategies.sdk.errors import FileMissing
from batch_jobs.strategies.sdk.files import JOBS, FileStore


class Kept:
    """JSON of one name in the folder of each job.

    Args:
        files: the file store.
        name: what it is, the file's name.
    """

    def __init__(self, files: FileStore, name: str) -> None:
        self._files = files
        self._name = name

    def of(self, job_id: str) -> Any:
        """What is kept of a job, ``None`` where nothing is."""
        try:
            with self._files.open(self._key(job_id)) as stream:
                return json.load(stream)
        except FileMissing:
            return None

    def keep(self, job_id: str, value: Any) -> None:
        """Keep this of a job, in the place of what was kept before."""
        with self._files.writing(self._key(job_id)) as stream:
            stream.write(json.dumps(value).encode())

    def _key(self, job_id: str) -> str:
        return f"{JOBS}/{job_id}/{self._name}.json"
