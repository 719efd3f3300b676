"""A Prefect automation that acts on the events of jobs: an example to deploy as it is, or to copy."""

from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from batch_jobs.deployments.errors import UsageRefused

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.events.schemas.automations import AutomationCore

#: The automation's and its block's name, by which deploying it again finds them.
NAME = "batch-job-failed"
#: What is sent; Slack and what understands its webhooks read ``text``.
PAYLOAD = """{
  "text": "{{ event.resource['prefect.resource.name'] }} failed: {{ event.payload.step.why }}",
  "job_id": "{{ event.payload.job.id }}",
  "type": "{{ event.payload.job.type }}",
  "attempt": {{ event.payload.step.attempt }}
}"""


def notify_on_failure(webhook_url: str) -> str:
    """Let Prefect call a webhook for every job that fails; deploying it again changes the address.

    Args:
        webhook_url: where to send a POST with JSON to.

    Returns:
        The automation's name.

    Raises:
        UsageRefused: it is no address of the web; nothing was changed.
        httpx.HTTPError: Prefect does not answer.
    """
    if not _is_of_the_web(webhook_url):
        raise UsageRefused(
            f"{webhook_url!r} is no address of a webhook, which begins with http:// or https://; nothing was changed"
        )
    from prefect.blocks.webhook import Webhook
    from prefect.client.orchestration import get_client
    from pydantic import SecretStr

    block_id = cast("UUID", Webhook(url=SecretStr(webhook_url)).save(NAME, overwrite=True))
    with get_client(sync_client=True) as client:
        known = client.read_automations_by_name(NAME)
        automation = _automation(block_id)
        if known:
            client.update_automation(known[0].id, automation)
        else:
            client.create_automation(automation)
    return NAME


def _is_of_the_web(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _automation(block_id: "UUID") -> "AutomationCore":
    from prefect.events import EventTrigger, ResourceSpecification
    from prefect.events.actions import CallWebhook
    from prefect.events.schemas.automations import AutomationCore, Posture

    return AutomationCore(
        name=NAME,
        description="Tells a webhook of every batch job that failed.",
        enabled=True,
        trigger=EventTrigger(
            expect={"batch-job.failed"},
            match=ResourceSpecification({"prefect.resource.id": "batch-job.*"}),
            for_each={"prefect.resource.id"},
            posture=Posture.Reactive,
            threshold=1,
        ),
        actions=[CallWebhook(block_document_id=block_id, payload=PAYLOAD)],
    )
