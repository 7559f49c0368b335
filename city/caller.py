"""A program that calls the API, an institution's or a phone's: `python -m city.caller --home FOLDER`.

`plan.json` in the folder says with which token it calls where, and what it wants to get done (`city.deeds`). What
it asks and is answered stands in a diary. Killed and started again, it asks what it had asked and not heard the
answer to, under the same Idempotency-Key.
"""

import json
from pathlib import Path
from typing import Annotated

import httpx
import typer

from city.asking import Caller
from city.deeds import do
from city.diary import Diary

PLAN, DIARY = "plan.json", "diary.jsonl"


def work(
    home: Annotated[Path, typer.Option(help="folder of plan.json and the diary")],
    timeout_s: Annotated[float, typer.Option(help="how long an answer may take")] = 10.0,
) -> None:
    """Get everything in `plan.json` done or refused, and end."""
    plan = json.loads((home / PLAN).read_text(encoding="utf-8"))
    headers = {"Authorization": f"Bearer {plan['token']}"}
    with (
        Diary(home / DIARY) as diary,
        httpx.Client(
            base_url=plan["url"],
            headers=headers,
            timeout=timeout_s,
            trust_env=False,
            verify=httpx.URL(plan["url"]).scheme == "https",
        ) as client,
    ):
        caller = Caller(client, diary)
        for number, deed in enumerate(plan["deeds"]):
            do(caller, f"{number}", deed)


if __name__ == "__main__":
    typer.run(work)
