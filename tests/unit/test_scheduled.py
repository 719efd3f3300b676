"""Ticks and templates of scheduled flows."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.server.schemas.schedules import CronSchedule

from batch_jobs.flows.scheduled import rendered, tick_key
from batch_jobs.strategies.sdk.errors import ContextRefused


def test_S27_an_hour_that_comes_twice_or_never_gives_each_tick_once():
    def ticks(first: str, days: int) -> list[datetime]:
        schedule = CronSchedule(cron="30 2 * * *", timezone="Europe/Berlin")
        dates = schedule._get_dates_generator(n=days, start=datetime.fromisoformat(first))
        return [date.astimezone(UTC) for date in dates]

    for start in ("2026-10-24T00:00:00+02:00", "2026-03-28T00:00:00+01:00"):
        found = ticks(start, 4)
        deployment = uuid4()
        keys = {
            tick_key(FlowRun(flow_id=uuid4(), deployment_id=deployment, auto_scheduled=True), tick) for tick in found
        }
        assert len(keys) == len(found) == 4
        days = [tick.astimezone(UTC).date() for tick in found]
        assert len(set(days)) == 4


def test_templates_fill_in_the_tick_anywhere_in_a_context_and_nothing_else():
    tick = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)
    context = {"query": "WHERE day = '{{ scheduled_time.date() }}'", "list": ["{{ scheduled_time.year }}", 1], "n": 2}
    assert rendered(context, tick) == {"query": "WHERE day = '2026-11-25'", "list": ["2026", 1], "n": 2}
    for wrong in ("{{ unknown }}", "{{ scheduled_time.__class__.__mro__ }}", "{{"):
        with pytest.raises(ContextRefused, match="cannot be filled in"):
            rendered({"key": wrong}, tick)
