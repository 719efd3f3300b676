"""Secrets of a context: sealed, opened at their places, masked wherever they would be reported."""

import logging

import pytest
from pydantic import BaseModel, SecretStr

from batch_jobs.flows.errors import SealBroken
from batch_jobs.flows.secret_fields.contexts import opened, secret_places
from batch_jobs.flows.secret_fields.masking import MASK, OpenedContext, SecretInError, original
from batch_jobs.flows.secret_fields.sealing import Seal, installation_secret
from batch_jobs.strategies.sdk.errors import StopRequested

SECRET = "correct horse"


class Login(BaseModel):
    user: str
    password: SecretStr


class Context(BaseModel):
    limit: int
    logins: list[Login]


def test_secrets_are_taken_from_their_places_and_put_back_there():
    context = Context.model_validate({"limit": 3, "logins": [{"user": "a", "password": SECRET}]})
    places = secret_places(context)
    assert places == [(["logins", 0, "password"], SECRET)]
    masked = context.model_dump(mode="json")
    assert SECRET not in str(masked)
    assert opened(masked, places).values == {"limit": 3, "logins": [{"user": "a", "password": SECRET}]}


def test_what_is_sealed_is_opened_by_the_same_secret_only():
    sealed = Seal(b"one").close([SECRET])
    assert SECRET not in sealed
    assert Seal(b"one").open(sealed) == [SECRET]
    for broken in (Seal(b"another"), Seal(b"")):
        with pytest.raises(SealBroken):
            broken.open(sealed)


def test_keys_of_two_purposes_differ():
    assert Seal(b"one").key("links") != Seal(b"one").key("contexts")


def test_an_installation_makes_its_secret_once_readable_by_its_owner_alone(tmp_path):
    made = installation_secret("", tmp_path / "home")
    assert installation_secret("", tmp_path / "home") == made
    assert installation_secret("given", tmp_path / "home") == b"given"
    assert (tmp_path / "home/secret.key").stat().st_mode & 0o077 == 0


def test_a_secret_is_masked_in_every_text_of_a_value_the_longest_first():
    context = OpenedContext({}, [SECRET, f"{SECRET} battery"])
    value = {"a": [f"it is {SECRET} battery"], "b": SECRET, "c": 7}
    assert context.masked(value) == {"a": [f"it is {MASK}"], "b": MASK, "c": 7}


def test_a_secret_too_short_to_be_told_from_other_words_is_left():
    assert OpenedContext({}, ["abc"]).masked("abcdef") == "abcdef"


def test_an_error_that_shows_a_secret_is_replaced_and_any_other_is_not():
    context = OpenedContext({}, [SECRET])
    with pytest.raises(SecretInError) as shown, context.masking_errors():
        raise ValueError(f"login with {SECRET} failed")
    assert str(shown.value) == f"ValueError: login with {MASK} failed"
    assert isinstance(original(shown.value), ValueError)
    with pytest.raises(LookupError, match="nothing"), context.masking_errors():
        raise LookupError("nothing")
    with pytest.raises(StopRequested), context.masking_errors():
        raise StopRequested(SECRET)


def test_lines_of_a_run_show_no_secret_while_it_runs(caplog: pytest.LogCaptureFixture):
    log = logging.getLogger("prefect.flow_runs")
    with OpenedContext({}, [SECRET]).masking_logs():
        log.warning("trying %s", SECRET)
    log.warning("after")
    assert [record.getMessage() for record in caplog.records] == [f"trying {MASK}", "after"]
