"""What makes the holder's page installable: manifest, icon, and a worker that is honest about being offline."""

from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse

from api.pages.page import HERE, render
from api.pages.texts import words_of

router = APIRouter()
STATIC: Final[Path] = HERE / "static"


@router.get("/manifest.webmanifest")
def manifest(request: Request) -> JSONResponse:
    """The web app manifest (W3C), in the visitor's language."""
    words = words_of(request)
    icons = [{"src": "/static/icon.svg", "sizes": "any", "type": "image/svg+xml"}]
    icons += [
        {"src": f"/static/icon-{side}.png", "sizes": f"{side}x{side}", "type": "image/png"}
        for side in (192, 512)
    ]
    content = {
        "id": "/me",
        "name": words("ui.brand"),
        "short_name": words("ui.brand_short"),
        "lang": words.language.tag,
        "start_url": "/me",
        "scope": "/",
        "display": "standalone",
        "background_color": "#ffffff",
        "theme_color": "#0b5cad",
        "icons": icons,
    }
    return JSONResponse(content, media_type="application/manifest+json")


@router.get("/worker.js")
def worker() -> FileResponse:
    """The service worker, at the root so that it may speak for every page."""
    return FileResponse(
        STATIC / "worker.js", media_type="text/javascript", headers={"Cache-Control": "no-cache"}
    )


@router.get("/offline", response_class=HTMLResponse)
def offline(request: Request) -> HTMLResponse:
    """What the worker shows where there is no connection; it says nothing personal."""
    return render(request, "offline.html")
