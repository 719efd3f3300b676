"""Strategies for the tests of the HTTP API."""

from typing import Any

from pydantic import BaseModel, ConfigDict, SecretStr
from sqlalchemy import text

from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.errors import ContextRefused
from batch_jobs.strategies.sdk.job import JobRun


class RecordedExport(BatchJobStrategy):
    """Stand in for the job of the recorded pairs: it takes any context."""

    identifier = "recorded-export-strategy"
    batch_type = "product-export"

    class Context(BaseModel):
        model_config = ConfigDict(extra="allow")

    def process(self, job: JobRun) -> None:
        """Nothing."""

    def build_template(self) -> str:
        return ""


class Noting(BatchJobStrategy):
    """Write one note, logged in somewhere with a password."""

    identifier = "noting-strategy"
    batch_type = "noting"

    class Context(BaseModel):
        note: str = "hello"
        file_key: str | None = None
        password: SecretStr | None = None
        logins: list[dict[str, SecretStr]] = []
        fails: bool = False
        flickers: bool = False

    def prepare(self, context: Any) -> Any:
        if context.note == "refused":
            raise ContextRefused("note must not be 'refused'")
        return context

    max_retries = 1
    retry_delay = 0

    def pre_process(self, job: JobRun) -> None:
        password = job.context.password.get_secret_value() if job.context.password else ""
        job.describe("password", "Password", f"as {password}")

    def should_retry(self, job: JobRun, error: Exception) -> bool:
        """Of errors as they were raised."""
        return isinstance(error, ConnectionError)

    def on_failure(self, job: JobRun, error: Exception) -> None:
        job.logger.error("it was %r", error, exc_info=error)

    def process(self, job: JobRun) -> None:
        password = job.context.password.get_secret_value() if job.context.password else ""
        job.logger.info("noting with %s, which is %s", job.context.password, password)
        job.describe("login", "Login", f"with {password}")
        if job.context.flickers and job.attempt == 1:
            raise ConnectionError(f"{password}@shop does not answer")
        if job.context.fails:
            raise ValueError(f"the password {password} was not taken")
        with job.target.begin() as connection:
            connection.execute(text("CREATE TABLE IF NOT EXISTS notes (note TEXT, password TEXT)"))
        with job.chunk(cursor=1) as connection:
            connection.execute(text("INSERT INTO notes VALUES (:n, :p)"), {"n": job.context.note, "p": password})
        with job.write_output("notes.txt") as stream:
            stream.write(job.context.note.encode())

    def build_template(self) -> str:
        return "note\nhello\n"
