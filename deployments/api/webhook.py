"""Sending the end of each job to one address: signed as Standard Webhooks are, and tried again until it is taken."""

import asyncio
import json
import logging
from base64 import b64decode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from standardwebhooks.webhooks import EmptyWebhookSecretError
from standardwebhooks.webhooks import Webhook as Signer

from batch_jobs.deployments.api.schemas import format_time, job_json
from batch_jobs.flows.errors import JobUnknown, SettingWrong
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.outbox import CompletionOutbox, Delivery
from batch_jobs.flows.workspace import Workspace

logger = logging.getLogger("batch_jobs.api")

PREFIX = "whsec_"
LOOK_SECONDS = 1.0
ANSWER_SECONDS = 15.0  # of one try in all; httpx's own limit begins anew with each byte
#: How long after each failed try the next one follows; after the last one it is given up.
PAUSES = tuple(timedelta(seconds=seconds) for seconds in (1, 5, 30, 120, 600, 3600, 3600, 6 * 3600, 24 * 3600))


class WebhookSender:
    """Posts each end of a job to the address of the settings."""

    def __init__(self, workspace: Workspace, outbox: CompletionOutbox, url: str, signer: Signer) -> None:
        self._workspace = workspace
        self._outbox = outbox
        self._url = url
        self._signer = signer

    @classmethod
    def of(cls, workspace: Workspace) -> "WebhookSender | None":
        """The webhook of the settings, when they have one.

        Raises:
            SettingWrong: it has no secret that can sign.
        """
        settings = workspace.settings
        if not settings.webhook_url:
            return None
        secret = settings.webhook_secret.get_secret_value()
        if not secret:
            raise SettingWrong("WEBHOOK_SECRET", "it is needed with WEBHOOK_URL, to sign what is sent")
        outbox = CompletionOutbox(workspace.jobs)
        outbox.open()
        return cls(workspace, outbox, settings.webhook_url, signer_of(secret))

    async def run(self) -> None:
        """Send until canceled."""
        async with httpx.AsyncClient(timeout=None, follow_redirects=False) as client:
            while True:
                try:
                    await self._send_due(client)
                except Exception:  # a database that is away for a moment must not end this
                    logger.warning("looking for ended jobs failed; it is tried again", exc_info=True)
                await asyncio.sleep(LOOK_SECONDS)

    async def _send_due(self, client: httpx.AsyncClient) -> None:
        await asyncio.to_thread(self._outbox.collect)
        while due := await asyncio.to_thread(self._outbox.take):
            await asyncio.gather(*(self._send(client, delivery) for delivery in due))

    async def _send(self, client: httpx.AsyncClient, delivery: Delivery) -> None:
        try:
            job = await asyncio.to_thread(self._workspace.service.get, delivery.job_id)
        except JobUnknown:  # deleted meanwhile: there is nothing to send of it
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
        body = json.dumps(message(delivery, job))
        headers = signed(self._signer, delivery.event_id, body)
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
    """What is sent of an end."""
    return {
        "type": f"batch-job.{delivery.status}",
        "timestamp": format_time(delivery.at),
        "data": {"batch_job": job_json(job.without_partitions(), None)},
    }


def signer_of(secret: str) -> Signer:
    """What signs with a secret: ``whsec_`` and base64, as Standard Webhooks write one, or any text, byte by byte.

    Raises:
        SettingWrong: it says that it is the former and holds no key.
    """
    if not secret.startswith(PREFIX):
        return Signer(secret.encode())
    try:
        key = secret.removeprefix(PREFIX)
        b64decode(key + "=" * (-len(key) % 4), validate=True)  # the library leaves out what is none
        return Signer(secret)
    except (ValueError, EmptyWebhookSecretError):
        raise SettingWrong("WEBHOOK_SECRET", f"after {PREFIX} there has to be a key in base64") from None


def signed(signer: Signer, event_id: int, body: str) -> Mapping[str, str]:
    """The headers of a message: its id, the same at each try, the time, and the signature over both and the body."""
    message_id, now = f"event_{event_id}", datetime.now(UTC)
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signer.sign(message_id, now, body),
    }
