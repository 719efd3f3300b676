"""Keys of the HTTP API in the job database, and in the settings."""

import pytest
from sqlalchemy import Engine, text

from batch_jobs.flows.access.keys import ApiKeyStore, Role, keys_of_setting, token_hash
from batch_jobs.flows.database import upgrade
from batch_jobs.flows.errors import ApiKeyUnknown, SettingWrong


@pytest.fixture
def keys(target: Engine) -> ApiKeyStore:
    upgrade(target)
    return ApiKeyStore(target)


def test_a_key_is_found_by_itself_and_nowhere_kept(keys: ApiKeyStore, target: Engine):
    made, token = keys.create("shop", Role.OPERATOR, ["table-import"])

    assert keys.find(token) == made
    assert keys.find(token + "x") is None
    with target.connect() as connection:
        assert token not in str(connection.execute(text("SELECT * FROM batch_job_api_key")).all())


def test_a_key_keeps_its_tables_and_one_of_the_release_before_is_for_all(keys: ApiKeyStore, target: Engine):
    made, token = keys.create("shop", Role.OPERATOR, None, ["goods", "shop.*"])
    with target.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO batch_job_api_key (id, name, role, hash, hint, created_at)"
                " VALUES ('key_0', 'old', 'viewer', :hash, 'bj_', '2026-01-01 00:00:00.000000')"
            ),
            {"hash": token_hash("an-older-key")},
        )

    found, older = keys.find(token), keys.find("an-older-key")

    assert found == made
    assert found.tables == ["goods", "shop.*"]
    assert older is not None
    assert older.tables is None


def test_a_revoked_key_is_none(keys: ApiKeyStore):
    made, token = keys.create("shop", Role.OPERATOR)
    other, kept = keys.create("other", Role.ADMIN)

    (revoked,) = keys.revoke(made.id)

    assert revoked.revoked_at is not None
    assert keys.find(token) is None
    assert keys.valid([made.id, other.id, "none"]) == {other.id}
    assert keys.find(kept) == other
    assert keys.revoke(made.id)[0].revoked_at == revoked.revoked_at


def test_all_keys_of_a_name_are_revoked_by_it(keys: ApiKeyStore):
    tokens = [keys.create("shop", Role.OPERATOR)[1] for _ in range(2)]
    assert keys.any()

    assert len(keys.revoke("shop")) == 2

    assert [keys.find(token) for token in tokens] == [None, None]
    assert not keys.any()


def test_a_key_that_is_not_there_cannot_be_revoked(keys: ApiKeyStore):
    with pytest.raises(ApiKeyUnknown, match="there is no API key nobody"):
        keys.revoke("nobody")


@pytest.mark.parametrize("name", ["", "a b", "../x", "a/b", "x" * 65, "a\n"])
def test_a_name_that_is_none_is_refused(keys: ApiKeyStore, name: str):
    with pytest.raises(ValueError, match="is no name for a key"):
        keys.create(name, Role.VIEWER)


def test_keys_of_the_settings_are_found_by_their_hash():
    found = keys_of_setting("shop:operator:a-long-enough-key, ops:admin:table-import+noting:another-long-key")

    narrow = keys_of_setting("s:operator::goods+shop.*:a-key-for-tables,a:viewer:noting:goods:a-key-for-two-limits")
    assert [(key.types, key.tables) for key in narrow.values()] == [
        (None, ["goods", "shop.*"]),
        (["noting"], ["goods"]),
    ]

    shop, ops = found[token_hash("a-long-enough-key")], found[token_hash("another-long-key")]
    assert (shop.name, shop.role, shop.types) == ("shop", Role.OPERATOR, None)
    assert (ops.name, ops.role, ops.types) == ("ops", Role.ADMIN, ["table-import", "noting"])


@pytest.mark.parametrize(
    "text",
    [
        "secret-key-alone-here",
        "shop:boss:a-long-enough-key",
        "shop:admin:short",
        "a:b:c:d:surplus-part",
        "shop:admin::a-key-for-no-type",
        "shop:admin:noting+:a-key-for-no-type",
        "shop:admin:noting::a-key-for-no-table",
        "shop:admin::goods+:a-key-for-no-table",
    ],
)
def test_keys_of_the_settings_that_cannot_be_read_are_not_shown(text: str):
    with pytest.raises(SettingWrong, match="entry 2 is not NAME:ROLE:KEY") as caught:
        keys_of_setting(f"good:admin:a-long-enough-key,{text}")
    assert text.split(":")[-1] not in str(caught.value).replace("API_KEYS", "")
