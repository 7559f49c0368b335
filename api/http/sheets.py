"""Bodies that are files: CSV as an agency writes it, and the problem of one that is flawed."""

from typing import Annotated, Any, Final

from fastapi import Depends, Request
from pydantic import StringConstraints

from api.http.fields import Body
from api.http.problems import Problem, problem
from clearing.sectors.socialsecurity.sheet import Flawed

CSV: Final[dict[str, Any]] = {
    "requestBody": {"required": True, "content": {"text/csv": {"schema": {"type": "string"}}}}
}


async def csv_body(request: Request) -> bytes:
    """The body as it came; what is in it is for the reader of the file to judge."""
    return await request.body()


File = Annotated[bytes, Depends(csv_body)]


class Why(Body):
    """Why something is refused or given back."""

    reason: Annotated[
        str, StringConstraints(min_length=1, max_length=140, pattern="^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$")
    ]


def flawed(file: Flawed) -> Problem:
    """Everything that is wrong in a file, by line, field, value and remedy; personal values are masked."""
    errors = [
        {"line": one.line, "field": one.field, "value": one.value, "remedy": one.remedy} for one in file.flaws
    ]
    detail = f"{len(errors)} flaws, nothing was taken; the first: {file.flaws[0].message}"
    return problem("file_flawed", detail, errors=errors)
