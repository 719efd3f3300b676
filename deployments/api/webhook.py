"""Telling the ends of jobs to one address: signed as the Standard Webhooks do, and tried again until it is taken."""

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import httpx

from batch_jobs.deployments.api.job_json import job_json, moment
from batch_jobs.flows.errors import JobUnknown, SettingWrong
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.outbox import CompletionOutbox, Delivery
from batch_jobs.flows.workspace import Workspace

logger = logging.getLogger("batch_jobs.api")

LOOK_SECONDS = 1.0
ANSWER_SECONDS = 15.0  # of one try in all; httpx's own limit begins anew with each byte
#: How long after each failed try the next one follows; after the last one nobody is told.
PAUSES = tuple(timedelta(seconds=seconds) for seconds in (1, 5, 30, 120, 600, 3600, 3600, 6 * 3600, 24 * 3600))


class Webhook:
    """Posts each end of a job to the address of the settings."""

    def __init__(self, workspace: Workspace, outbox: CompletionOutbox, url: str, secret: str) -> None:
        self._workspace = workspace
        self._outbox = outbox
        self._url = url
        self._secret = secret

    @classmethod
    def of(cls, workspace: Workspace) -> "Webhook | None":
        """The webhook of the settings, when they have one.

        Raises:
            SettingWrong: it has no secret to sign with.
        """
        settings = workspace.settings
        if not settings.webhook_url:
            return None
        secret = settings.webhook_secret.get_secret_value()
        if not secret:
            raise SettingWrong("WEBHOOK_SECRET", "it is needed with WEBHOOK_URL, to sign what is sent")
        outbox = CompletionOutbox(workspace.jobs)
        outbox.open()
        return cls(workspace, outbox, settings.webhook_url, secret)

    async def run(self) -> None:
        """Tell until canceled."""
        async with httpx.AsyncClient(timeout=None, follow_redirects=False) as client:
            while True:
                try:
                    await self._tell_all(client)
                except Exception:  # a database that is away for a moment must not end this
                    logger.warning("looking for ended jobs failed; it is tried again", exc_info=True)
                await asyncio.sleep(LOOK_SECONDS)

    async def _tell_all(self, client: httpx.AsyncClient) -> None:
        await asyncio.to_thread(self._outbox.collect)
        while due := await asyncio.to_thread(self._outbox.take):
            await asyncio.gather(*(self._tell(client, delivery) for delivery in due))

    async def _tell(self, client: httpx.AsyncClient, delivery: Delivery) -> None:
        try:
            job = await asyncio.to_thread(self._workspace.service.get, delivery.job_id)
        except JobUnknown:  # deleted meanwhile: there is nothing to tell of it
            await asyncio.to_thread(self._outbox.done, delivery.event_id)
            return
        error = await self._post(client, delivery, job)
        if error is None:
            await asyncio.to_thread(self._outbox.done, delivery.event_id)
            return
        pause = PAUSES[delivery.attempts - 1] if delivery.attempts <= len(PAUSES) else None
        logger.warning("webhook for %s failed: %s; %s", job.id, error, f"again in {pause}" if pause else "given up")
        await asyncio.to_thread(self._outbox.failed, delivery.event_id, error, pause)

    async def _post(self, client: httpx.AsyncClient, delivery: Delivery, job: Job) -> str | None:
        """Post it; returns what went wrong."""
        body = json.dumps(message(delivery, job)).encode()
        headers = signed(self._secret, delivery.event_id, body)
        try:
            async with (
                asyncio.timeout(ANSWER_SECONDS),
                client.stream("POST", self._url, content=body, headers=headers) as answer,
            ):  # what it says beside its status is not read
                return None if answer.is_success else f"it answered {answer.status_code}"
        except TimeoutError:
            return f"no answer in {ANSWER_SECONDS:g} s"
        except httpx.HTTPError as error:
            return str(error) or type(error).__name__


def message(delivery: Delivery, job: Job) -> dict[str, Any]:
    """What is told of an end."""
    return {
        "type": f"batch-job.{delivery.status}",
        "timestamp": moment(delivery.at),
        "data": {"batch_job": job_json(job, None)},
    }


def signed(secret: str, event_id: int, body: bytes, at: int | None = None) -> Mapping[str, str]:
    """The headers of a message: its id, the same at each try, the time, and the signature over both and the body."""
    message_id, stamp = f"event_{event_id}", str(at or int(time.time()))
    mac = hmac.new(secret.encode(), f"{message_id}.{stamp}.".encode() + body, hashlib.sha256)
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{base64.b64encode(mac.digest()).decode()}",
    }
