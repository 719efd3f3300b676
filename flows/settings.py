"""The settings, from ``BATCH_JOBS_*`` variables and ``.env``; none is needed."""

import os
import re
from collections.abc import Iterator
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Literal

from dotenv import dotenv_values
from pydantic import ByteSize, Field, PositiveFloat, PositiveInt, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from batch_jobs.flows.jobs.confirm_by_other import ConfirmByOther
from batch_jobs.flows.runs.memory import LEAST, default_limit
from batch_jobs.flows.secret_fields.sealing import SHORTEST_SECRET
from batch_jobs.strategies.sdk.data_access import QUERY_SECONDS
from batch_jobs.strategies.sdk.database import database_of_url, is_database_url
from batch_jobs.strategies.sdk.partition import MOST_PARTITIONS
from batch_jobs.strategies.sdk.registry import BUILT_IN
from batch_jobs.strategies.sdk.sources import Sources

PREFIX = "BATCH_JOBS_"
LogFormat = Literal["text", "json"]
ENV_FILE = ".env"
RUNNER = re.compile(r"threads|processes|(dask|ray)(://[\w.-]+:\d+)?")


class Settings(BaseSettings):
    """What a team may set; every default works on one machine with nothing installed."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_file=ENV_FILE, env_ignore_empty=True, extra="ignore")

    home: Path = Field(
        Path(".batch-jobs"), description="Folder of the embedded databases, the files and Prefect's own data."
    )
    database_url: str = Field(
        "", description="The job table's database, SQLite or PostgreSQL; default `jobs.db` in HOME."
    )
    target_url: str = Field(
        "", description="The database strategies read and write; default DATABASE_URL, on SQLite `data.db` in HOME."
    )
    files_url: str = Field(
        "", validate_default=False, description="Where files are kept, any fsspec URL; default `files` in HOME."
    )
    strategies: str = Field(
        "",
        description=f"Folders with strategies of your own, separated by `{os.pathsep}`; default: `strategies` in the"
        " current folder.",
    )
    chunk_size: PositiveInt = Field(10_000, description="Rows a chunk has at most.")
    heartbeat_timeout: PositiveFloat = Field(
        60, description="Seconds without a sign of life after which a job's process counts as dead."
    )
    run_memory: ByteSize | None = Field(
        None,
        ge=LEAST,
        description="Memory that a run's process may take, such as `2GB`; past it the job fails. Default: three"
        " quarters of the machine's, at least 1 GB.",
    )
    confirm_timeout: PositiveFloat = Field(
        7 * 24 * 3600, description="Seconds in which a previewed job can be confirmed; it is canceled then."
    )
    confirm_by_other: str = Field(
        "",
        description="Of which jobs it takes somebody else than who created them to confirm them: `true` for all, or"
        " types with how many rows one person alone may change, such as `table-import:1000,undo:0` (`*:0` for all"
        " others); what removes rows always needs two. Default: none.",
    )
    task_runner: str = Field(
        "processes",
        description="Where partitions run: `processes` or `threads` of the run's machine, `dask` or `ray` (a cluster"
        " made for the run), or those at an address, such as `dask://host:8786` or `ray://host:10001`.",
    )
    partitions: int = Field(
        1,
        ge=1,
        le=MOST_PARTITIONS,
        description="How many partitions of a job are worked on at a time, where it says nothing.",
    )
    retention_days: PositiveFloat | None = Field(
        None, description="Days after which ended jobs and their files are pruned; kept for ever where it is not set."
    )
    keep_changes: bool | None = Field(
        None,
        description="Whether jobs keep what they change, row by row, to look at and undo it, where their context does"
        " not say it. Default: they do, but for rows added without a key.",
    )
    keep_changes_days: PositiveFloat | None = Field(
        None, description="Days that changes are kept; as long as their job where it is not set."
    )
    changes_hide: str = Field(
        "",
        description="Columns whose values are hashed where changes are kept, patterns such as `email` or"
        " `customers.*`, separated by commas; what they were cannot be put back.",
    )
    secret_key: SecretStr = Field(
        SecretStr(""),
        description="Seals secret fields of contexts and signs links; the same on every machine. Default: made once,"
        " in `secret.key` in HOME.",
    )
    api_host: str = Field("127.0.0.1", description="Where the HTTP API listens; beyond this machine only with a key.")
    api_port: int = Field(9000, ge=0, le=65535, description="The HTTP API's port.")
    api_keys: SecretStr = Field(
        SecretStr(""),
        description="Keys beside those of `batch-jobs keys`: `NAME:ROLE:KEY`, `NAME:ROLE:TYPE+TYPE:KEY` or"
        " `NAME:ROLE:TYPE+TYPE:TABLE+TABLE:KEY`, separated by commas.",
    )
    api_public_url: str = Field(
        "",
        description="The API's address as its callers know it, for links; needed behind a proxy. Default: as they"
        " called it, where that is this machine's name or address.",
    )
    api_cors_origins: str = Field(
        "", description="Origins whose pages may call the API, separated by commas; default: none."
    )
    api_rate_limit: str = Field(
        "60000/minute",
        validate_default=False,
        description="Requests one key may make, such as `100/second`; as many refused ones may come from one address.",
    )
    api_connections_per_address: PositiveInt | None = Field(
        None,
        description="Connections that one address may have to the API; more where a proxy in front makes all of them."
        " Default: half of those that are served.",
    )
    page_name: str = Field("Batch jobs", description="What the page calls itself.")
    page_color: str = Field("", description="The page's colour, such as `#7a1f5c`; default: a blue.")
    page_logo: str = Field("", description="A picture (SVG, PNG or ICO) that the page shows beside its name.")
    session_seconds: PositiveInt = Field(43_200, description="How long somebody stays signed in to the page.")
    log_format: LogFormat = Field(
        "text", description="The log of `serve` and `api`: `text` for people, or `json`, an object a line."
    )
    max_upload_bytes: PositiveInt = Field(1 << 30, description="Bytes that the files of one upload may have.")
    sources: str = Field(
        "",
        description="Addresses from which imports may fetch files, such as `https://files.example.com/*`, separated by"
        " commas; default: none.",
    )
    source_max_bytes: PositiveInt | None = Field(
        None, description="Bytes that a fetched file may have; default MAX_UPLOAD_BYTES."
    )
    source_timeout: PositiveFloat = Field(600, description="Seconds that fetching a file may take.")
    tables: str = Field(
        "",
        description="Tables of the target that `table-import` and `table-export` may read and write, such as"
        " `orders,shop.*`; default: all but those of the jobs and of the database itself, which they never may.",
    )
    queries_by: Literal["admin", "operator"] = Field(
        "admin",
        description="Whose API keys may export by a query: `admin`, or `operator` too. Where the target is the job"
        " database, admins alone.",
    )
    query_as: str = Field(
        "",
        description="Role of the target (PostgreSQL) that queries run as, best one that may only read; default: that"
        " of TARGET_URL.",
    )
    query_timeout: PositiveFloat = Field(
        QUERY_SECONDS, description="Seconds that an export by a query may take, of its count too."
    )
    link_seconds: PositiveInt = Field(3600, description="How long a download link works.")
    medusa_compat: bool = Field(
        False, description="Answer with Medusa v1's status codes and texts, also where ours are better."
    )
    webhook_url: str = Field("", description="Where the end of each job is told by a signed POST; default: nowhere.")
    webhook_secret: SecretStr = Field(
        SecretStr(""), description="Signs the webhook's messages; needed with WEBHOOK_URL."
    )

    @field_validator("secret_key")
    @classmethod
    def _long_enough(cls, key: SecretStr) -> SecretStr:
        given = key.get_secret_value()
        if given and len(given.strip()) < SHORTEST_SECRET:
            advice = "and could be guessed; `openssl rand -base64 48` makes one"
            raise ValueError(f"it is shorter than {SHORTEST_SECRET} characters {advice}")
        return key

    @field_validator("task_runner")
    @classmethod
    def _known_runner(cls, name: str) -> str:
        if not RUNNER.fullmatch(name):
            raise ValueError("it is none of processes, threads, dask, dask://host:port, ray, ray://host:port")
        return name

    @field_validator("confirm_by_other")
    @classmethod
    def _known_limits(cls, text: str) -> str:
        ConfirmByOther.parsed(text)
        return text

    @field_validator("home")
    @classmethod
    def _absolute(cls, home: Path) -> Path:
        return home.expanduser().absolute()

    @field_validator("database_url", "target_url")
    @classmethod
    def _known_database(cls, url: str) -> str:
        if url and not is_database_url(url):
            raise ValueError("it is no URL of a SQLite or PostgreSQL database, such as postgresql://user@host/name")
        return url

    @field_validator("api_rate_limit")
    @classmethod
    def _known_rate(cls, text: str) -> str:
        from limits import parse

        try:
            rate = parse(text)
        except ValueError:
            rate = None
        if rate is None or min(rate.amount, rate.multiples) < 1:
            raise ValueError("it is no rate such as 100/second or 5000/hour")
        return text

    @field_validator("page_color")
    @classmethod
    def _known_color(cls, text: str) -> str:
        if text and not re.fullmatch(r"#[0-9a-fA-F]{3}|#[0-9a-fA-F]{6}", text):
            raise ValueError("it is no colour such as #7a1f5c")
        return text

    @field_validator("webhook_url", "api_public_url")
    @classmethod
    def _known_address(cls, url: str) -> str:
        if url and not url.startswith(("https://", "http://")):
            raise ValueError("it is no address such as https://shop.example.com")
        return url.rstrip("/")

    @field_validator("sources")
    @classmethod
    def _known_sources(cls, patterns: str) -> str:
        for pattern in patterns.split(",") if patterns.strip() else ():
            if "://" not in pattern:
                raise ValueError(f"{pattern.strip()!r} is no address such as https://files.example.com/*")
        return patterns

    @field_validator("files_url")
    @classmethod
    def _known_files(cls, url: str) -> str:
        from fsspec.core import split_protocol
        from fsspec.registry import get_filesystem_class

        try:
            get_filesystem_class(split_protocol(url)[0] or "file")
        except (ImportError, ValueError) as error:
            raise ValueError(str(error)) from None
        return url

    @property
    def jobs_url(self) -> str:
        """The job table's database, the default filled in."""
        return self.database_url or f"sqlite:///{self.home / 'jobs.db'}"

    @property
    def data_url(self) -> str:
        """The target, the default filled in; SQLite has one writer, so the embedded target is a file of its own."""
        if self.target_url:
            return self.target_url
        return f"sqlite:///{self.home / 'data.db'}" if database_of_url(self.jobs_url).is_embedded else self.jobs_url

    @property
    def store_url(self) -> str:
        """The file store, the default filled in."""
        return self.files_url or (self.home / "files").as_uri()

    @property
    def most_memory(self) -> int:
        """The memory of a run, the default filled in."""
        return self.run_memory or default_limit()

    @property
    def allowed_sources(self) -> Sources:
        """Where imports may fetch files from."""
        return Sources(_patterns(self.sources), self.source_max_bytes or self.max_upload_bytes, self.source_timeout)

    @property
    def allowed_tables(self) -> tuple[str, ...]:
        """Patterns of the tables that jobs may use; none where all are."""
        return _patterns(self.tables)

    @property
    def hidden_columns(self) -> tuple[str, ...]:
        """Patterns of the columns whose values are not kept."""
        return _patterns(self.changes_hide)

    @property
    def strategy_folders(self) -> list[Path]:
        """The folders to load more strategies from; the clone's own are built in."""
        named = [Path(part).expanduser() for part in self.strategies.split(os.pathsep) if part]
        here = Path("strategies").absolute()
        return named or ([here] if here.is_dir() and not here.samefile(BUILT_IN) else [])


def _patterns(listed: str) -> tuple[str, ...]:
    return tuple(pattern.strip() for pattern in listed.split(",") if pattern.strip())


def misspelt() -> Iterator[str]:
    """Say of each variable that begins as settings do and is none that nothing reads it."""
    known = {*map(str.upper, Settings.model_fields), "DEBUG"}
    given = map(str.upper, {**dotenv_values(ENV_FILE), **os.environ})
    for name in sorted({name.removeprefix(PREFIX) for name in given if name.startswith(PREFIX)} - known):
        near = get_close_matches(name, known, 1)
        meant = f"; did you mean {PREFIX}{near[0]}?" if near else ""
        yield f"{PREFIX}{name} is no setting and changes nothing{meant}"


@lru_cache
def current_settings() -> Settings:
    """The settings of this process, read once."""
    return Settings()  # type: ignore[call-arg]  # every field has a default
