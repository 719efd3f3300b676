"""Where an import's file comes from: a key of the file store, or an address from which it is fetched into the store."""

from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, Field, SecretStr

from batch_jobs.strategies.sdk.context_fields import SourceAddress
from batch_jobs.strategies.sdk.errors import ContextRefused
from batch_jobs.strategies.sdk.files import MEMBER, harmless_name
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.sdk.sources import masked


class SourceOption(BaseModel):
    """Where to fetch the file from."""

    source: SourceAddress | None = Field(
        default=None,
        title="Source",
        description="Instead of a file: an address such as https://files.example.com/prices.csv that the setting "
        "SOURCES allows; fetched into the file store first",
    )


def name_of(source: SecretStr | None) -> str:
    """How the file is called in the store, with the name of the file in it where one is named.

    Raises:
        ContextRefused: it is no address.
    """
    url, hash, member = (source.get_secret_value() if source else "").strip().partition(MEMBER)
    try:
        path = urlsplit(url).path
    except ValueError:
        raise ContextRefused("source is no address such as https://files.example.com/prices.csv") from None
    return f"{harmless_name(unquote(PurePosixPath(path).name))}{hash}{member}"


def fetched(job: JobRun, source: SecretStr) -> str:
    """The key of the file that a job fetches, once for all its attempts.

    Raises:
        SourceRefused: it may not be read, or cannot be.
    """
    url, hash, member = source.get_secret_value().strip().partition(MEMBER)
    key = f"jobs/{job.id}/source/{name_of(source).partition(MEMBER)[0]}"
    if not job.files.exists(key):
        job.sources.fetch(url, job.files, key, job.stop_if_asked)
    job.describe("import-source", "Source", f"{masked(url)}, fetched as {key} ({job.files.size(key):,} bytes)")
    return f"{key}{hash}{member}"
