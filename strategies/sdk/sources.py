"""Files from elsewhere: which addresses may be read, and fetching one into the file store."""

import ipaddress
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, BinaryIO
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from batch_jobs.strategies.sdk.errors import JobRefused
from batch_jobs.strategies.sdk.files import FileStore

BLOCK = 1 << 20
MAX_BYTES = 1 << 30
SECONDS = 600.0
#: Seconds without a byte after which a server is given up.
SILENCE = 30.0
REDIRECTS = 5
#: What to install for addresses of a kind.
PACKAGES = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "sftp": "paramiko",
    "ssh": "paramiko",
    "abfs": "adlfs",
}


class SourceRefused(JobRefused):
    """A file from elsewhere may not be read, or cannot be."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"source {masked(url)}: {reason}; nothing was written")


@dataclass(frozen=True)
class Sources:
    """Which addresses jobs may read files from, and how much of them for how long.

    ``allowed`` are patterns such as ``https://files.example.com/*``; none allow nothing.
    """

    allowed: tuple[str, ...] = ()
    max_bytes: int = MAX_BYTES
    seconds: float = SECONDS

    def check(self, url: str) -> None:
        """Make sure that an address may be read.

        Raises:
            SourceRefused: names the setting that would allow it.
        """
        parts = _parts(url)
        if not self._pattern_of(parts):
            wanted = f"{parts.scheme}://{_host(parts)}/*"
            raise SourceRefused(
                url, f"no source like this is allowed; the setting BATCH_JOBS_SOURCES says which are, such as {wanted}"
            )

    def fetch(self, url: str, files: FileStore, key: str, meanwhile: Callable[[], None]) -> None:
        """Fetch a file into the store, whole or not at all; ``meanwhile`` is called now and then and may raise.

        Raises:
            SourceRefused: it may not be read, is not there, is too large, or takes too long.
        """
        self.check(url)
        is_web = _parts(url).scheme in ("http", "https")
        with files.writing(key) as target:
            for block in self._bounded(url, self._web(url) if is_web else _elsewhere(url)):
                target.write(block)
                meanwhile()

    def _bounded(self, url: str, blocks: Iterable[bytes]) -> Iterator[bytes]:
        done, until = 0, time.monotonic() + self.seconds
        for block in blocks:
            done += len(block)
            if done > self.max_bytes:
                raise SourceRefused(url, f"it has more than the {self.max_bytes:,} bytes of SOURCE_MAX_BYTES")
            if time.monotonic() > until:
                raise SourceRefused(url, f"it took longer than the {self.seconds:g} s of SOURCE_TIMEOUT")
            yield block

    def _web(self, url: str) -> Iterator[bytes]:
        import httpx

        try:
            with httpx.Client(timeout=SILENCE, trust_env=False) as client, self._answer(client, url) as answer:
                yield from answer.iter_bytes(BLOCK)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise SourceRefused(url, f"it could not be fetched: {reason.replace(url, masked(url))}") from None

    @contextmanager
    def _answer(self, client: Any, url: str) -> Iterator[Any]:
        """The answer with the file, after redirects on the same host; from no machine that was not meant."""
        here = url
        for _ in range(REDIRECTS + 1):
            self._check_address(here)
            with client.stream("GET", here, headers={"accept-encoding": "identity"}) as answer:
                if not answer.has_redirect_location:
                    self._check_peer(here, answer)
                    if answer.status_code != 200:
                        raise SourceRefused(url, f"the server answered {answer.status_code}")
                    yield answer
                    return
                there = urljoin(here, answer.headers["location"])
            if _origin(there) != _origin(here):
                raise SourceRefused(url, f"it leads on to another host, {masked(there)}; name that as the source")
            self.check(there)
            here = there
        raise SourceRefused(url, f"it leads on more than {REDIRECTS} times")

    def _check_address(self, url: str) -> None:
        parts = _parts(url)
        try:
            found = socket.getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_STREAM)
        except OSError as error:
            raise SourceRefused(url, f"its host is not found: {error.strerror or error}") from None
        for *_, address in found:
            self._refuse_inside(url, str(address[0]))

    def _check_peer(self, url: str, answer: Any) -> None:
        # a name may lead elsewhere by the time the connection is made
        stream = answer.extensions.get("network_stream")
        address = stream.get_extra_info("server_addr") if stream is not None else None
        if address:
            self._refuse_inside(url, str(address[0]))

    def _refuse_inside(self, url: str, address: str) -> None:
        parts = _parts(url)
        ip = ipaddress.ip_address(address.partition("%")[0])
        ip = getattr(ip, "ipv4_mapped", None) or ip
        is_inside = ip.is_loopback or ip.is_link_local or ip.is_private or ip.is_unspecified or ip.is_multicast
        if is_inside and "*" in (_host(_pattern(self._pattern_of(parts) or "*"))):
            raise SourceRefused(
                url, f"its host is inside this network ({address}); BATCH_JOBS_SOURCES would have to name it in full"
            )

    def _pattern_of(self, parts: SplitResult) -> str | None:
        if not parts.scheme or any(unquote(part) == ".." for part in unquote(parts.path).split("/")):
            return None
        return next((pattern for pattern in self.allowed if _matches(parts, _pattern(pattern))), None)


def masked(url: str) -> str:
    """An address without what may be secret in it: the user and the query."""
    parts = urlsplit(url)
    query = "?…" if parts.query else ""
    return f"{parts.scheme}://{_host(parts)}{parts.path}{query}"


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url.strip())
        _ = parts.port
    except ValueError:
        raise JobRefused("source is no address such as https://files.example.com/prices.csv") from None
    if not parts.scheme or "::" in url or not (parts.netloc or parts.path):
        raise JobRefused("source is no address such as https://files.example.com/prices.csv")
    return parts


def _pattern(pattern: str) -> SplitResult:
    return urlsplit(pattern)


def _matches(parts: SplitResult, pattern: SplitResult) -> bool:
    return (
        parts.scheme.lower() == pattern.scheme.lower()
        and fnmatchcase(_host(parts), _host(pattern))
        and fnmatchcase(parts.path or "/", pattern.path or "/*")
    )


def _host(parts: SplitResult) -> str:
    """Host and port, the user left out."""
    return parts.netloc.rpartition("@")[2].lower()


def _origin(url: str) -> tuple[str, str]:
    parts = _parts(url)
    return parts.scheme, _host(parts)


def _elsewhere(url: str) -> Iterator[bytes]:
    scheme = _parts(url).scheme
    try:
        import fsspec

        opened = fsspec.open(url, "rb")
        with opened as stream:
            yield from _blocks(stream)
    except ImportError:
        package = PACKAGES.get(scheme, f"fsspec[{scheme}]")
        raise SourceRefused(url, f"addresses of {scheme} need a package; run `pip install {package}`") from None
    except ValueError:
        raise SourceRefused(url, f"nothing here reads addresses of {scheme}") from None
    except Exception as error:  # each package has errors of its own
        said = getattr(error, "strerror", None) or str(error) or type(error).__name__
        reason = " ".join(said.split()).replace(url, masked(url))
        raise SourceRefused(url, f"it could not be fetched: {reason}") from None


def _blocks(stream: BinaryIO) -> Iterator[bytes]:
    while block := stream.read(BLOCK):
        yield block
