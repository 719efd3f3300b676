"""What all views load: styles, scripts, the logo; a browser keeps each as long as it is the same."""

import hashlib
import mimetypes
import re
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, Response
from starlette.exceptions import HTTPException

from batch_jobs.deployments.api.errors import NothingThere
from batch_jobs.flows.settings import Settings

FILES = Path(__file__).parents[1] / "static"
FOREVER = {"cache-control": "public, max-age=31536000, immutable"}
FOR_AN_HOUR = {"cache-control": "public, max-age=3600"}
#: What is asked for, and nothing that leads elsewhere.
NAME = re.compile(r"(?:[a-z-]+/)?[a-z0-9.-]+")

router = APIRouter()


def fingerprint() -> str:
    """What the addresses of all files have in them: another one as soon as a file is another."""
    contents = hashlib.sha256()
    for path in sorted(FILES.rglob("*.*")):
        contents.update(path.read_bytes())
    return contents.hexdigest()[:12]


@router.get("/static/logo")
def logo(request: Request) -> Response:
    """The logo of the settings."""
    settings: Settings = request.app.state.api.settings
    if not settings.page_logo or not Path(settings.page_logo).is_file():
        raise NothingThere("there is no logo")
    return FileResponse(settings.page_logo, headers=FOR_AN_HOUR)


@router.get("/static/{version}/colors.css")
def colors(request: Request, version: str) -> Response:
    """The colour of the settings; a style in the page itself would be refused by its policy."""
    settings: Settings = request.app.state.api.settings
    rule = f":root {{ --accent-given: {settings.page_color}; }}\n" if settings.page_color else "/* as it is */\n"
    return Response(rule, media_type="text/css", headers=FOR_AN_HOUR)


@router.get("/static/{version}/{name:path}")
def file(version: str, name: str) -> Response:
    """A file that comes with the program; the fingerprint in its address is for the browser's memory only."""
    found = FILES / name
    if not NAME.fullmatch(name) or not found.is_file():
        raise HTTPException(404)
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return FileResponse(found, media_type=kind, headers=FOREVER)
