"""A Prefect that is away is reported in one line, and once more when it is back.

Else each part of Prefect complains for itself, of each event that it cannot send.
"""

import asyncio
import logging
from collections.abc import Iterator

import httpx
from websockets.exceptions import WebSocketException

from batch_jobs.deployments.errors import PrefectDidNotStart, PrefectUnreachable
from batch_jobs.deployments.prefect.server import PrefectServer
from batch_jobs.deployments.worker.shutdown import Say
from batch_jobs.flows.errors import PrefectAway

OBSERVERS = ("prefect.FlowRunCancellingObserver", "prefect.FlowRunSuspendingObserver")
#: Who else complains while Prefect is away.
COMPLAINING = (
    "prefect.events.clients",
    "prefect.batch_jobs",
    "batch_jobs.flows.prefect.upkeep",
    "batch_jobs.deployments.worker.worker",
    "batch_jobs.api",
    "EventsWorker",
    "APILogWorker",
)
#: How a complaint begins that has its error as text only.
COMPLAINTS = ("Unable to connect to", "Still processing items")
AWAY = (ConnectionError, TimeoutError, httpx.TransportError, WebSocketException, PrefectAway, PrefectUnreachable)

LOOK_SECONDS = 1.0
ANSWER_SECONDS = 10.0
#: How often in a row a server is started again that has ended without an answer.
STARTS = 3


def quieten_outages() -> None:
    """Let nobody in this process complain that Prefect is away."""
    logging.raiseExceptions = False  # else Prefect's handler writes each batch of lines that it cannot send to stderr
    for name in (*OBSERVERS, *COMPLAINING):
        logging.getLogger(name).addFilter(is_no_complaint)
    for name in OBSERVERS:
        logging.getLogger(name).addFilter(in_a_line)


async def report_outages(api_url: str, say: Say, server: PrefectServer | None = None) -> None:
    """Say when Prefect goes away and when it is back, until cancelled; one of our own that ended is started again.

    Raises:
        PrefectDidNotStart: it ended again and again without an answer.
    """
    away, starts = False, 0
    async with httpx.AsyncClient(timeout=ANSWER_SECONDS, limits=httpx.Limits(max_keepalive_connections=0)) as client:
        while True:
            if server is not None:
                server.bound_log()
            answers = await _answers(client, api_url)  # first, as one that ended meanwhile gives none either
            if server is not None and server.has_ended():
                if starts == STARTS:
                    raise PrefectDidNotStart(server.log)
                away, starts = True, starts + 1
                say("Prefect has ended and is started again")
                server.launch()
            elif answers is away:
                away, starts = not answers, 0
                say(
                    "Prefect answers again"
                    if answers
                    else "Prefect does not answer; it is told later what became of jobs"
                )
            await asyncio.sleep(LOOK_SECONDS)


async def _answers(client: httpx.AsyncClient, api_url: str) -> bool:
    try:
        await client.get(f"{api_url.rstrip('/')}/health")
    except httpx.HTTPError:
        return False
    return True


def is_no_complaint(record: logging.LogRecord) -> bool:
    """Whether a record says more than that Prefect is away."""
    is_text = str(record.msg).startswith(COMPLAINTS)
    return not (is_text or any(isinstance(error, AWAY) for error in _errors(record)))


def _errors(record: logging.LogRecord) -> Iterator[object]:
    if record.exc_info:
        yield record.exc_info[1]
    if isinstance(record.args, tuple):
        yield from record.args


def in_a_line(record: logging.LogRecord) -> bool:
    """Put the error of a record's trace into its text instead; the record goes on."""
    if record.exc_info and record.exc_info[1]:
        record.msg, record.args, record.exc_info = f"{record.getMessage()} {record.exc_info[1]}", (), None
    return True
