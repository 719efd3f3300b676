"""The class that says what a job does."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from inspect import isabstract
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel

from batch_jobs.strategies.sdk.errors import LeaveOutRefused, StrategyIncomplete

if TYPE_CHECKING:
    from batch_jobs.strategies.sdk.files import FileStore
    from batch_jobs.strategies.sdk.job import JobRun
    from batch_jobs.strategies.sdk.leaving_out import LeaveOut
    from batch_jobs.strategies.sdk.partition import Partition
    from batch_jobs.strategies.sdk.sample import FileSample


class NoContext(BaseModel):
    """The context of a strategy that takes no parameters."""


class BatchJobStrategy:
    """What one type of job does, in hooks that Prefect runs as tasks.

    A subclass has ``identifier`` and ``batch_type`` and defines ``process`` and ``build_template``; without one of
    them it is refused when it is defined. Pass ``abstract=True`` to share code between strategies:
    ``class Base(BatchJobStrategy, abstract=True)``.
    The shape is Medusa v1's ``AbstractBatchJobStrategy``.
    """

    #: A name of its own among all strategies, such as ``publish-drafts-strategy``.
    identifier: ClassVar[str]
    #: What a job's ``type`` names; also the Prefect flow's name.
    batch_type: ClassVar[str]
    #: The typed parameters of a job: a pydantic model, drawn as a form in the Prefect UI.
    Context: ClassVar[type[BaseModel]] = NoContext
    #: How often a failed job is tried again by itself, when ``should_retry`` says so.
    max_retries: ClassVar[int] = 0
    #: Seconds before the first automatic retry; the wait doubles each time.
    retry_delay: ClassVar[float] = 10.0
    #: Of which jobs only one may be active: of one ``type``, of one type and ``context``, or of one value of a function
    #: of the context. ``None`` allows any number.
    unique: ClassVar[Literal["type", "context"] | Callable[[Any], object] | None] = None
    #: What becomes of a second one: it is refused when it is created, or it queues until the first has ended.
    on_duplicate: ClassVar[Literal["refuse", "queue"]] = "refuse"
    #: How many runs of this type Prefect works on at a time; the others wait their turn. ``None`` is no limit.
    concurrency_limit: ClassVar[int | None] = None
    #: Whether another attempt goes on with the partitions of the last one; otherwise it cuts anew and begins all of
    #: them, as where what they write belongs together only under one snapshot.
    keeps_partitions: ClassVar[bool] = True

    def __init_subclass__(cls, abstract: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        missing = [] if abstract else _missing(cls)
        if missing:
            raise StrategyIncomplete(cls.__name__, missing)

    def prepare(self, context: Any) -> Any:
        """Normalise the context when a job is created, before it has a row; return the context to keep.

        Raises:
            ContextRefused: with one line that says why such a job cannot be created.
        """
        return context

    def sample(self, job: "JobRun", rows: int) -> "FileSample | None":
        """Say at once how the file of a job would be read, by its beginning; nothing is written.

        Args:
            job: one that will never run; its context was not prepared and may lack what is required (``None`` then).
            rows: how many of the first ones to show.

        Returns:
            The first rows; ``None`` where there is no such file.

        Raises:
            PermanentError: the file cannot be read so.
        """
        return None

    def pre_process(self, job: "JobRun") -> None:
        """Count, validate, describe what will happen; write nothing to the target."""

    def process(self, job: "JobRun") -> None:
        """Do the work, in ``job.chunk`` blocks."""
        raise NotImplementedError

    def partition(self, job: "JobRun", size: int) -> "list[Partition]":
        """How the work is cut into parts that run beside each other, in processes or on machines of their own.

        It is called after ``pre_process``, once: what it returns is written down and never planned anew. ``process``
        then runs for each partition, which is ``job.partition``, with a checkpoint, counts and rejects of its own.

        Args:
            job: has the plan.
            size: how many partitions are worked on at a time, by the setting ``PARTITIONS`` or the job's own.

        Returns:
            The partitions, in the order of the input; none where the job is not cut.
        """
        return []

    def around_partitions(self, job: "JobRun") -> AbstractContextManager[Any]:
        """What is there while partitions run, in the process that has the job, such as a snapshot of the database.

        Returns:
            Its block is the partitions' time; what it yields, a JSON value, is ``job.shared`` in each of them.
        """
        return nullcontext()

    def check_leave_out(self, wish: "LeaveOut", job_id: str, plan: dict[str, Any], files: "FileStore") -> None:
        """Say whether a confirmation may leave parts out; those that offer it heed ``job.plan["leave_out"]`` then.

        Args:
            wish: what it is to leave out.
            job_id: the job that waits for it.
            plan: what its preview found.
            files: where the preview may have kept more.

        Raises:
            LeaveOutRefused: with one line that says why it cannot.
        """
        raise LeaveOutRefused(f"{self.batch_type} does not offer to leave parts out; confirm all of it, or cancel it")

    def for_some_rows(self, context: Any) -> Any:
        """The context of a job for some rows of another one's input, such as those that were refused and corrected.

        Args:
            context: of the other job; it may be changed.

        Returns:
            The context with which such a job adds to what is there, and takes nothing for missing.
        """
        return context

    def post_process(self, job: "JobRun") -> None:
        """Run after success; may run again when the process dies here, so it must bear repeating."""

    def build_template(self) -> str:
        """Return a sample input that works as it is, or ``""`` where there is none."""
        raise NotImplementedError

    def should_retry(self, job: "JobRun", error: Exception) -> bool:
        """Whether this failure may pass by itself when the job is tried again."""
        return False

    def on_failure(self, job: "JobRun", error: BaseException) -> None:
        """Run when the job has failed for good."""

    def on_cancel(self, job: "JobRun") -> None:
        """Run when a running job was canceled, after its last chunk."""

    @classmethod
    def description(cls) -> str:
        """The first paragraph of the class's docstring, in one line; ``""`` without one."""
        return " ".join((cls.__doc__ or "").strip().split("\n\n")[0].split())


def _missing(cls: type[BatchJobStrategy]) -> list[str]:
    names = [name for name in ("identifier", "batch_type") if not _is_text(getattr(cls, name, None))]
    hooks = [name for name in ("process", "build_template") if getattr(cls, name) is getattr(BatchJobStrategy, name)]
    context = getattr(cls, "Context", None)
    is_model = isinstance(context, type) and issubclass(context, BaseModel)
    wrong = [
        *([] if is_model else ["a Context that is a pydantic model"]),
        *(["its abstract methods"] if isabstract(cls) else []),
        *([] if _is_unique(cls.unique) else ['a unique that is "type", "context" or a function of the context']),
        *([] if cls.on_duplicate in ("refuse", "queue") else ['an on_duplicate that is "refuse" or "queue"']),
    ]
    return names + hooks + wrong


def _is_unique(unique: object) -> bool:
    return unique in (None, "type", "context") or callable(unique)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())
