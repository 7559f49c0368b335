"""The house's style, held by a test: what a reader may rely on in every room."""

import ast
import gc
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("ledger", "card", "clearing", "settlement", "terminals", "api", "city", "hsm-sim/src/hsm_sim")
ENTRY_POINTS = ("api/", "city/", "hsm-sim/", "tests/")
SHELL = ("migrations/",)
LONGEST_MODULE_LINES = 400
LONGEST_FUNCTION_LINES = 60


def tracked(*patterns: str) -> list[Path]:
    """Files of the project that match, known to git or new and not ignored; all files where git is absent."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode == 0:
        return [path for name in listed.stdout.splitlines() if (path := ROOT / name).is_file()]
    return [path for pattern in patterns for path in ROOT.rglob(pattern) if ".venv" not in path.parts]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


PYTHON = tracked("*.py")
OURS = [path for path in PYTHON if name_of(path).startswith(tuple(f"{room}/" for room in ROOMS))]


@cache
def tree(path: Path) -> ast.Module:
    """A module's syntax; read when it is asked for, since all processes of a run import this one."""
    return ast.parse(path.read_text())


@pytest.fixture(scope="module", autouse=True)
def whole_trees() -> Iterator[None]:
    """A million nodes, of which none is garbage until all are: to look for it meanwhile takes four times as long."""
    gc.disable()
    yield
    tree.cache_clear()
    gc.enable()


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_there_is_something_to_look_at() -> None:
    assert len(OURS) > 50
    assert {name_of(path).split("/")[0] for path in OURS} == {room.split("/")[0] for room in ROOMS}


def test_every_module_says_what_it_is_for() -> None:
    silent = [name_of(p) for p in PYTHON if p.stat().st_size and not ast.get_docstring(tree(p))]
    assert silent == []


def test_an_init_module_holds_its_docstring_and_nothing_else() -> None:
    full = [name_of(p) for p in OURS if p.name == "__init__.py" and len(tree(p).body) != 1]
    assert full == []


def test_modules_stay_short_enough_to_read() -> None:
    long = {name_of(p): n for p in PYTHON if (n := len(p.read_text().splitlines())) > LONGEST_MODULE_LINES}
    assert long == {}


def test_functions_fit_a_screen() -> None:
    long = [
        f"{name_of(path)}:{f.name} has {f.end_lineno - f.lineno + 1} lines"
        for path in PYTHON
        if not any(part in name_of(path) for part in SHELL)
        for f in functions(path)
        if f.end_lineno and f.end_lineno - f.lineno + 1 > LONGEST_FUNCTION_LINES
    ]
    assert long == []


def test_public_functions_and_classes_have_a_docstring() -> None:
    silent = [
        f"{name_of(path)}:{node.name}"
        for path in OURS
        if not any(part in name_of(path) for part in SHELL)
        for node in tree(path).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef)
        and not node.name.startswith("_")
        and "overload" not in [ast.unparse(decorator) for decorator in node.decorator_list]
        and not ast.get_docstring(node)
    ]
    assert silent == []


def test_no_module_is_named_after_nothing() -> None:
    empty_names = {"utils", "util", "helpers", "helper", "common", "manager", "service", "services", "misc"}
    assert [name_of(p) for p in PYTHON if p.stem in empty_names] == []


def test_money_is_an_integer() -> None:
    """A name that ends in `_fen` is never annotated as anything but int, and nothing casts money to float."""
    # The aliases are `Annotated[int, …]` of an edge, SQL expressions and columns of integers, and integers by code.
    allowed = {"int", "int | None", "Fen", "Fen | None", "Amount", "ColumnElement[int]", "Mapped[int]"}
    allowed |= {"Sums", "Numbers", "Ints", "NDArray[np.int64]"}
    wrong = []
    for path in OURS:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation:
                name = node.arg if isinstance(node, ast.arg) else ast.unparse(node.target)
                kind = ast.unparse(node.annotation)
                if (
                    name.endswith("_fen")
                    and kind not in allowed
                    and not re.match(r"(Mapping|dict|tuple)\b.*int", kind)
                ):
                    wrong.append(f"{name_of(path)}: {name}: {kind}")
            if isinstance(node, ast.Call) and re.match(r"(float|Decimal)\(.*_fen", ast.unparse(node)):
                wrong.append(f"{name_of(path)}:{node.lineno}: {ast.unparse(node)}")
    assert wrong == []


def test_only_entry_points_read_the_clock_the_environment_or_randomness() -> None:
    forbidden = re.compile(
        r"\b(datetime\.now|datetime\.utcnow|date\.today|time\.time|os\.environ|os\.getenv|os\.urandom|random\.|secrets\.)"
    )
    found = [
        f"{name_of(path)}:{number}: {line.strip()}"
        for path in OURS
        if not name_of(path).startswith(ENTRY_POINTS) and "migrations/env.py" not in name_of(path)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if forbidden.search(line) and not line.lstrip().startswith("#")
    ]
    assert found == []


def test_nothing_is_left_unfinished_or_looked_away_from() -> None:
    marks = re.compile(
        r"\b(TODO|FIXME|XXX|HACK|NotImplementedError)\b|pytest\.(skip|mark\.(skip|xfail))"
        r"|# type: ignore\b(?!\[)|except Exception\b|except:"
    )
    found = [
        f"{name_of(path)}:{number}: {line.strip()}"
        for path in PYTHON
        if path != Path(__file__)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if marks.search(line)
    ]
    assert found == []


def test_a_tests_name_is_a_sentence() -> None:
    short = [
        f"{name_of(path)}:{f.name}"
        for path in PYTHON
        if name_of(path).startswith("tests/")
        for f in functions(path)
        if f.name.startswith("test_") and f.name.count("_") < 3
    ]
    assert short == []


def test_every_test_can_fail() -> None:
    """A test asserts, expects an error, or hands over to something that does."""
    tame = []
    for path in PYTHON:
        if not name_of(path).startswith("tests/"):
            continue
        for f in functions(path):
            if f.name.startswith("test_") and not _checks_something(f):
                tame.append(f"{name_of(path)}:{f.name}")
    assert tame == []


def _checks_something(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call) and re.search(
            r"raises|check|assert|expect|agree|holds", ast.unparse(node.func)
        ):
            return True
    return False


@pytest.mark.parametrize(("name", "at_least"), [("requirements.lock", 20), ("requirements-spark.lock", 3)])
def test_the_lock_file_pins_with_hashes_and_names_no_address(name: str, at_least: int) -> None:
    lock = (ROOT / name).read_text()
    assert "://" not in lock and "--index" not in lock and "--find-links" not in lock
    requirements = re.findall(r"^[a-z0-9][^\n]*==[^\n]*\\\n((?:    --hash=[^\n]+\n?)+)", lock, re.MULTILINE)
    assert len(requirements) == len(re.findall(r"^[a-z0-9]", lock, re.MULTILINE)) > at_least


def test_nothing_in_the_repository_speaks_of_the_machine_it_was_written_on() -> None:
    machine = re.compile(r"/(work|home|root|farm)/[a-z.]|\.pyenv|\bpypi\.org\b|\bfiles\.pythonhosted\b")
    found = [
        f"{name_of(path)}: {match.group()}"
        for path in tracked("*")
        if path != Path(__file__)
        and path.name != "LICENSE"
        and path.suffix in {"", ".py", ".md", ".toml", ".lock", ".sql", ".html", ".json", ".ini", ".css"}
        if (match := machine.search(path.read_text()))
    ]
    assert found == []


@pytest.mark.parametrize("room", [room for room in ROOMS if room != "hsm-sim/src/hsm_sim"])
def test_every_room_has_tests_of_its_own(room: str) -> None:
    assert list((ROOT / "tests" / room).glob("test_*.py"))
