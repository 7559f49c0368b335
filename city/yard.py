"""A depot's yard, a program of its own: `python -m city.yard --home FOLDER --published FOLDER`.

Terminals fetch the signed files that are published, and tell how they are; the newest report of each is kept.
"""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from fastapi import FastAPI, HTTPException
from fastapi.responses import FileResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from city.serving import serve_app

NAMES = re.compile(r"(?P<kind>hotlist|tariff|settings)-(?P<version>\d{5})(?P<change>-change)?\.(ohl|ocd)")
Count = Annotated[int, Field(ge=0)]


class Report(BaseModel):
    """What a terminal tells of itself."""

    model_config = ConfigDict(extra="forbid")

    terminal: str = Field(pattern="^[0-9A-F]{12}$")
    at: AwareDatetime
    memory_bytes: Count
    disk_free_bytes: Count
    last_upload: AwareDatetime | None
    clock_offset_s: float | None
    outbox: dict[str, Count]
    versions: dict[str, Count]
    outcomes: dict[str, Count]


def make_yard(home: Path, published: Path) -> FastAPI:
    """The yard's HTTP application: files down, reports up."""
    app = FastAPI(title="Depot yard")
    reports = home / "health"
    reports.mkdir(parents=True, exist_ok=True)

    @app.get("/files")
    def files() -> list[dict[str, Any]]:
        """List what is published."""
        found = [NAMES.fullmatch(path.name) for path in sorted(published.glob("*"))]
        return [
            {
                "name": match.group(),
                "kind": match["kind"] + ("_change" if match["change"] else ""),
                "version": int(match["version"]),
            }
            for match in found
            if match is not None
        ]

    @app.get("/files/{name}")
    def file(name: str) -> FileResponse:
        """Give one of them."""
        if NAMES.fullmatch(name) is None or not (published / name).is_file():
            raise HTTPException(404, f"file {name!r} is not published: see /files")
        return FileResponse(published / name, media_type="application/octet-stream")

    @app.post("/health")
    def health(report: Report) -> dict[str, str]:
        """Keep a terminal's report; the answer tells the time."""
        part = reports / f".{report.terminal}.part"
        part.write_text(report.model_dump_json(), encoding="utf-8")
        part.replace(reports / f"{report.terminal}.json")
        return {"at": datetime.now(UTC).isoformat()}

    @app.get("/health")
    def terminals() -> list[Report]:
        """Tell how every terminal was when it last said so."""
        kept = sorted(reports.glob("*.json"))
        return [Report.model_validate_json(path.read_text(encoding="utf-8")) for path in kept]

    return app


def serve(
    home: Annotated[Path, typer.Option(help="folder of the reports")],
    published: Annotated[Path, typer.Option(help="folder of the signed files")],
    port: Annotated[int, typer.Option(help="port on the loopback; 0: any free one")] = 0,
    port_file: Annotated[Path | None, typer.Option(help="file to write the port to")] = None,
) -> None:
    """Serve the yard until stopped."""
    app = make_yard(home, published)
    serve_app(app, port, port_file)


if __name__ == "__main__":
    typer.run(serve)
