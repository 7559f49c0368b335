"""A JSON file with one member changed, for holding strict readers to what they refuse."""

import json
from typing import Any


def changed_json(text: str, *path: str | int, to: Any) -> str:
    """The text with the member at `path` changed (or, where `to` is ..., left out)."""
    whole = json.loads(text)
    inner = whole
    for step in path[:-1]:
        inner = inner[step]
    if to is ...:
        del inner[path[-1]]
    else:
        inner[path[-1]] = to
    return json.dumps(whole)
