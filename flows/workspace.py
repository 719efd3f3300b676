"""What the settings open: the job database, the target, the file store, the strategies, and the service over them."""

from functools import cached_property, lru_cache

from sqlalchemy import Engine

from flows.api_keys import ApiKeyStore
from flows.database import ensure_current
from flows.job_store import JobStore
from flows.launching import launch
from flows.sealing import Seal, installation_secret
from flows.service import BatchJobService
from flows.settings import Settings, current_settings
from flows.uploads import UploadStore
from strategies.engines import make_engine
from strategies.files import FileStore
from strategies.registry import Registry, load_strategies


class Workspace:
    """One installation's parts, each opened when it is first needed."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @cached_property
    def jobs(self) -> Engine:
        """The job database, with its tables."""
        engine = make_engine(self.settings.jobs_url)
        ensure_current(engine)
        return engine

    @cached_property
    def target(self) -> Engine:
        """The database that strategies read and write."""
        return make_engine(self.settings.data_url)

    @cached_property
    def files(self) -> FileStore:
        """The file store."""
        return FileStore(self.settings.store_url)

    @cached_property
    def strategies(self) -> Registry:
        """The strategies there are."""
        return load_strategies(self.settings.strategy_folders)

    @cached_property
    def store(self) -> JobStore:
        """The rows of the job table."""
        return JobStore(self.jobs)

    @cached_property
    def seal(self) -> Seal:
        """What secrets are closed and links are signed with."""
        return Seal(installation_secret(self.settings.secret_key.get_secret_value(), self.settings.home))

    @cached_property
    def api_keys(self) -> ApiKeyStore:
        """The keys of the HTTP API."""
        return ApiKeyStore(self.jobs)

    @cached_property
    def uploads(self) -> UploadStore:
        """Whose the files of the store are."""
        return UploadStore(self.jobs)

    @cached_property
    def service(self) -> BatchJobService:
        """The one way in to jobs."""
        return BatchJobService(self.store, lambda: self.strategies, launch, lambda: self.seal)


@lru_cache
def current_workspace() -> Workspace:
    """The workspace of this process's settings."""
    return Workspace(current_settings())
