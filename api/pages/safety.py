"""What keeps a page to itself: headers that let nothing foreign in, and POSTs only from our own pages."""

from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlsplit

from fastapi import Request
from fastapi.responses import Response

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; manifest-src 'self'; "
        "connect-src 'self'; worker-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
"""On every answer of the pages; scripts and styles are files of ours, and nothing is ever inline."""
NO_STORE: Final = "no-store"
KEPT: Final = "public, max-age=600"
SAFE: Final = ("GET", "HEAD")


async def guarded(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Refuse what changes something and does not come from our own page; add the headers to every answer."""
    # Below /v1 there is no page: what comes here is refused by the API, in its own form.
    form = request.method not in SAFE and not request.url.path.startswith("/v1/")
    if form and not is_ours(request):
        answer = Response(
            "This was not sent from our own page, so nothing was done. Open the page and send it from there.\n"
            "此请求并非来自本站页面，未作任何处理。请打开本站页面后重新提交。\n",
            403,
            media_type="text/plain; charset=utf-8",
        )
    else:
        answer = await call_next(request)
    for name, value in HEADERS.items():
        answer.headers[name] = value
    kept = KEPT if request.url.path.startswith("/static/") else NO_STORE
    answer.headers.setdefault("Cache-Control", kept)
    return answer


def is_ours(request: Request) -> bool:
    """Whether a form was sent by a page of this very origin, by the browser's own word.

    Browsers say it in Sec-Fetch-Site where the connection is secure, and in Origin with every POST. One that
    says neither is not believed: the session's cookie alone proves nothing about who wrote the form.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None and site != "same-origin":
        return False
    origin = request.headers.get("origin")
    if origin is None:
        return site == "same-origin"
    return urlsplit(origin).netloc == request.headers.get("host")
