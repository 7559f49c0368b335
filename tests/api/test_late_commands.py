"""What `onecard` knows of its commands before it loads them."""

import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module

from typer.main import get_command

from api.cli import COMMANDS, REFUSALS, app, refusals
from api.late_commands import LateCommand, LateGroup

HEAVY = (
    "alembic", "duckdb", "fastapi", "numba", "numpy", "pandas", "psycopg", "pyarrow", "pydantic", "sqlalchemy",
)  # fmt: skip


def late_commands(group: LateGroup, path: tuple[str, ...] = ()) -> Iterator[tuple[str, LateCommand]]:
    for name, command in group.commands.items():
        if isinstance(command, LateCommand):
            yield " ".join((*path, name)), command
            if isinstance(loaded := command.load(), LateGroup):
                yield from late_commands(loaded, (*path, name))


def the_whole_tree() -> dict[str, LateCommand]:
    onecard = get_command(app)
    assert isinstance(onecard, LateGroup)
    return dict(late_commands(onecard))


def test_the_tables_say_of_each_command_what_it_says_of_itself() -> None:
    tree = the_whole_tree()
    assert len(tree) > 25
    first_paragraphs = {path: late.load().help.partition("\n\n")[0] for path, late in tree.items()}
    assert {path: late.help for path, late in tree.items()} == first_paragraphs


def test_a_command_is_loaded_under_the_name_that_it_was_asked_for_by() -> None:
    tree = the_whole_tree()
    assert {path: late.load().name for path, late in tree.items()} == {
        path: path.split()[-1] for path in tree
    }


def loaded_by(*commands: str) -> dict[str, list[str]]:
    """Which of the heavy packages one process has loaded after the help of each of these, one after the other."""
    asked = (
        "import sys; from contextlib import suppress; from api.cli import app\n"
        f"for words in {commands}:\n"
        "    with suppress(SystemExit): app([*words.split(), '--help'])\n"
        f"    print('loaded', words, *(one for one in {HEAVY} if one in sys.modules), sep='|')\n"
    )
    ended = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert ended.stdout.count("Usage") == len(commands)
    told = [line.split("|")[1:] for line in ended.stdout.splitlines() if line.startswith("loaded|")]
    return {words: loaded for words, *loaded in told}


def test_help_loads_nothing_that_takes_long() -> None:
    assert loaded_by("") == {"": []}


GROUPS = [name for name, late in COMMANDS.items() if late.place.startswith("api.groups.")]


def test_a_groups_help_loads_none_of_its_commands() -> None:
    """But Pydantic, by which Typer reads what is typed."""
    assert loaded_by(*GROUPS) == {group: ["pydantic"] for group in GROUPS}


def test_garbage_is_looked_for_again_once_a_command_is_loaded() -> None:
    code = (
        "import gc; from api.late_commands import Late, LateCommand\n"
        "before = gc.get_freeze_count(); LateCommand('list', Late('api.queue_commands:list_items', '')).load()\n"
        "print(gc.isenabled(), gc.get_freeze_count() > before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True True\n"


OF_A_NIGHT = {"alembic", "duckdb", "fastapi", "numba", "numpy", "pandas", "psycopg", "pyarrow"}
LOOKED_UP = (
    "queue list", "suspense list", "bank show", "trace", "cards life", "card show", "city show", "products list",
    "clients list", "ledger account",
)  # fmt: skip


def test_what_a_clerk_looks_up_loads_neither_an_engine_nor_columns_nor_a_server() -> None:
    loaded = loaded_by(*LOOKED_UP)
    assert [words for words in LOOKED_UP if OF_A_NIGHT & set(loaded[words])] == []


def test_how_a_night_stands_is_told_without_what_runs_one() -> None:
    assert {"duckdb", "fastapi", "numba", "pandas"} & set(loaded_by("status")["status"]) == set()


def test_a_nights_commands_load_no_pandas_which_is_there_where_spark_is() -> None:
    words = ("night run", "night status", "night plan")
    loaded = loaded_by(*words)
    assert [one for one in words if "pandas" in loaded[one]] == []


def test_a_card_on_a_reader_needs_no_engine_and_no_columns() -> None:
    assert loaded_by("card read") == {"card read": ["pydantic", "sqlalchemy"]}


def test_what_a_person_can_mend_is_known_as_soon_as_it_can_be_raised() -> None:
    for place, name in REFUSALS.items():
        refusal = getattr(import_module(place), name)
        assert issubclass(refusal, Exception)
        assert refusal in refusals()
