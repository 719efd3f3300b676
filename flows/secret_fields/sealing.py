"""The installation's secret, and what is made from it: sealed values, and keys for signing."""

import json
import os
import secrets
from base64 import urlsafe_b64encode
from contextlib import suppress
from pathlib import Path
from typing import Any

from batch_jobs.flows.errors import SealBroken, SettingWrong
from batch_jobs.strategies.sdk.closed_folders import make_folder

FILE = "secret.key"
SHORTEST_SECRET = 32  # characters


class Seal:
    """Seals values so that only an installation with the same secret opens them (Fernet: AES and an HMAC).

    Args:
        secret: the installation's secret, from ``installation_secret``.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def key(self, purpose: str) -> bytes:
        """A key of 32 bytes for one purpose; it reveals nothing of the secret or of another key (HKDF)."""
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        return HKDF(SHA256(), 32, salt=None, info=f"batch-jobs {purpose}".encode()).derive(self._secret)

    def close(self, value: Any) -> str:
        """Seal a JSON value."""
        return str(self._fernet().encrypt(json.dumps(value).encode()).decode())

    def open(self, sealed: str) -> Any:
        """Open what ``close`` made.

        Raises:
            SealBroken: it was sealed with another secret, or altered.
        """
        from cryptography.fernet import InvalidToken

        try:
            return json.loads(self._fernet().decrypt(sealed.encode()))
        except InvalidToken:
            raise SealBroken from None

    def _fernet(self) -> Any:
        from cryptography.fernet import Fernet

        return Fernet(urlsafe_b64encode(self.key("contexts")))


def installation_secret(given: str, home: Path) -> bytes:
    """The secret of the settings, else that of the file in ``home``, which is made when there is none.

    Raises:
        SettingWrong: as ``kept_secret`` does.
    """
    if given:
        return given.encode()
    return kept_secret(home / FILE)


def kept_secret(path: Path, prefix: str = "") -> bytes:
    """The secret of a file, which only its owner can read; made, with a prefix, when there is none.

    Raises:
        SettingWrong: the file is too short to be the one that was made.
    """
    if not path.exists():
        _make(path, prefix)
    secret = path.read_bytes()
    if len(secret.strip()) < SHORTEST_SECRET:
        advice = "put it back from a copy, or remove it to have one made; what the old one sealed is lost then"
        raise SettingWrong("HOME", f"{path} has to hold at least {SHORTEST_SECRET} characters; {advice}")
    return secret


def _make(path: Path, prefix: str) -> None:
    make_folder(path.parent)
    passing = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    passing.touch(mode=0o600)
    passing.write_bytes(f"{prefix}{secrets.token_urlsafe(48)}".encode())
    with suppress(FileExistsError):  # of two processes at once one makes it, whole, and both read that one
        os.link(passing, path)
    passing.unlink()
