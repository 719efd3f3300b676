"""Keys of the HTTP API: made, shown once, found again by their hash, revoked."""

import hashlib
import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import Engine, bindparam, insert, or_, select, update
from ulid import ULID

from batch_jobs.flows.errors import ApiKeyUnknown, SettingWrong
from batch_jobs.flows.jobs.model import Row
from batch_jobs.flows.jobs.table import batch_job_api_key as table
from batch_jobs.strategies.sdk.database import for_reading, for_writing

PREFIX = "bj_"
HINT_LENGTH = len(PREFIX) + 6  # characters of a key that are shown later
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
SHORTEST = 16  # characters of a key that is given in the settings


class Role(StrEnum):
    """What the holder of a key may do."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


class ApiKey(Row):
    """A key as it is kept; the key itself is not. It owns the jobs of its name."""

    id: str
    name: str
    role: Role
    types: list[str] | None
    tables: list[str] | None = None
    hint: str
    created_at: datetime
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None


#: Asked with every request, so it is made once.
FIND = select(table).where(table.c.hash == bindparam("hash"), table.c.revoked_at.is_(None))


class ApiKeyStore:
    """The table of keys."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reading = for_reading(engine)

    def create(
        self, name: str, role: Role, types: Sequence[str] | None = None, tables: Sequence[str] | None = None
    ) -> tuple[ApiKey, str]:
        """Make a key; returns it as it is kept, and the key itself, which cannot be had again.

        Args:
            name: its holder; what a key creates belongs to the keys of this name.
            role: what it may do.
            types: the batch types it is for, all when ``None``.
            tables: patterns of the tables of the target it is for, all that the settings allow when ``None``.

        Raises:
            ValueError: the name is none, or a pattern is empty.
        """
        if any(not pattern.strip() for pattern in tables or ()):
            raise ValueError("a table is named such as orders or shop.*")
        if not NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name for a key; use up to 64 letters, digits and . _ @ + -")
        token = f"{PREFIX}{secrets.token_urlsafe(32)}"
        made = ApiKey(
            id=f"key_{ULID()}",
            name=name,
            role=role,
            types=list(types) if types else None,
            tables=list(tables) if tables else None,
            hint=token[:HINT_LENGTH],
            created_at=datetime.now(UTC),
        )
        with for_writing(self._engine.connect()) as connection, connection.begin():
            connection.execute(insert(table).values(**dict(made), hash=token_hash(token)))
        return made, token

    def find(self, token: str) -> ApiKey | None:
        """The key that a caller showed, ``None`` when it is none or was revoked."""
        with self._reading.connect() as connection:
            row = connection.execute(FIND, {"hash": token_hash(token)}).one_or_none()
        return ApiKey.model_validate(row) if row else None

    def get(self, key_id: str) -> ApiKey | None:
        """The key of an id, ``None`` when there is none or it was revoked."""
        with self._reading.connect() as connection:
            row = connection.execute(
                select(table).where(table.c.id == key_id, table.c.revoked_at.is_(None))
            ).one_or_none()
        return ApiKey.model_validate(row) if row else None

    def valid(self, key_ids: Collection[str]) -> set[str]:
        """Which of these keys are there and not revoked."""
        if not key_ids:
            return set()
        query = select(table.c.id).where(table.c.id.in_(key_ids), table.c.revoked_at.is_(None))
        with self._reading.connect() as connection:
            return set(connection.scalars(query))

    def note_use(self, uses: Mapping[str, datetime]) -> None:
        """Record when some keys were used, each by its id."""
        used = update(table).where(table.c.id == bindparam("used_id")).values(last_used_at=bindparam("at"))
        rows = [{"used_id": key_id, "at": at} for key_id, at in sorted(uses.items())]  # in one order: no deadlock
        with for_writing(self._engine.connect()) as connection, connection.begin():
            connection.execute(used, rows)

    def all(self) -> list[ApiKey]:
        """Every key, revoked ones too, oldest first."""
        with self._engine.connect() as connection:
            return [ApiKey.model_validate(row) for row in connection.execute(select(table).order_by(table.c.id))]

    def any(self) -> bool:
        """Whether there is a key that works."""
        with self._engine.connect() as connection:
            return connection.execute(select(1).where(table.c.revoked_at.is_(None)).limit(1)).first() is not None

    def any_ever(self) -> bool:
        """Whether there is a key, or was one that is revoked by now."""
        with self._engine.connect() as connection:
            return connection.execute(select(1).select_from(table).limit(1)).first() is not None

    def revoke(self, id_or_name: str) -> list[ApiKey]:
        """Make a key useless, or all of a name; returns them. One that was revoked before stays as it is.

        Raises:
            ApiKeyUnknown: there is none.
        """
        named = or_(table.c.id == id_or_name, table.c.name == id_or_name)
        with for_writing(self._engine.connect()) as connection, connection.begin():
            connection.execute(
                update(table).where(named, table.c.revoked_at.is_(None)).values(revoked_at=datetime.now(UTC))
            )
            found = [ApiKey.model_validate(row) for row in connection.execute(select(table).where(named))]
        if not found:
            raise ApiKeyUnknown(id_or_name)
        return found


def token_hash(token: str) -> str:
    """What is kept of a key."""
    return hashlib.sha256(token.encode()).hexdigest()


def keys_of_setting(text: str) -> dict[str, ApiKey]:
    """The keys that API_KEYS gives, by their hash.

    Args:
        text: ``NAME:ROLE:KEY``, ``NAME:ROLE:TYPE+TYPE:KEY`` or ``NAME:ROLE:TYPE+TYPE:TABLE+TABLE:KEY``, where no types
            are all, with commas between.

    Raises:
        SettingWrong: it cannot be read; the message does not show a key.
    """
    entries = [entry.strip() for entry in text.split(",") if entry.strip()]
    return dict(_key_of_setting(number, entry.split(":")) for number, entry in enumerate(entries, 1))


def _key_of_setting(number: int, parts: list[str]) -> tuple[str, ApiKey]:
    name, role, token = parts[0], parts[1] if len(parts) > 1 else "", parts[-1]
    types = parts[2].split("+") if len(parts) == 4 or (len(parts) == 5 and parts[2]) else None
    tables = parts[3].split("+") if len(parts) == 5 else None
    well = len(parts) in (3, 4, 5) and NAME.fullmatch(name) and role in list(Role) and len(token) >= SHORTEST
    if not well or "" in (*(types or ()), *(tables or ())):
        wanted = f"NAME:ROLE:KEY with a role of {', '.join(Role)} and a KEY of at least {SHORTEST} characters"
        raise SettingWrong("API_KEYS", f"entry {number} is not {wanted}")
    hashed = token_hash(token)
    made = datetime.fromtimestamp(0, UTC)
    key_id = f"setting_{hashed[:16]}"
    key = ApiKey(id=key_id, name=name, role=Role(role), types=types, tables=tables, hint=token[:4], created_at=made)
    return hashed, key
