"""Commands named in a table and imported when they are run, so that `onecard` loads what it is asked for and no more.

A group's help needs only the names and what each command says of itself; both stand in the group's table.
"""

import gc
import sys
from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import Any, ClassVar, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group

from ledger.loaded import let_stay


class Late(NamedTuple):
    """Where a command is, as `module:name` of a function or of a Typer application, and the help it has there."""

    place: str
    help: str


class LateCommand(TyperCommand):
    """A command of which only the name and the help are known yet."""

    def __init__(self, name: str, late: Late) -> None:
        super().__init__(name, help=late.help)
        self._place = late.place

    def load(self) -> Any:
        """The command itself."""
        module, _, name = self._place.partition(":")
        found = getattr(_loaded(module), name)
        if isinstance(found, typer.Typer):
            group = get_group(found)
            group.name = self.name
            return group
        alone = typer.Typer(add_completion=False)
        alone.command(self.name)(found)
        return get_command(alone)


def _loaded(name: str) -> ModuleType:
    """A module. Of what is loaded for it nothing is garbage, now or later: nobody is to look whether it is."""
    if name in sys.modules:
        return sys.modules[name]
    looked_for = gc.isenabled()
    gc.disable()
    try:
        module = import_module(name)
        let_stay()
    finally:
        if looked_for:
            gc.enable()
    return module


class LateGroup(TyperGroup):
    """A group whose commands are those of its table."""

    late: ClassVar[Mapping[str, Late]] = {}

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for name, late in self.late.items():
            self.add_command(LateCommand(name, late))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Load the command that is asked for, which may be the help of it."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command.load() if isinstance(command, LateCommand) else command, rest


def late_group(help: str, late: Mapping[str, Late], kind: type[LateGroup] = LateGroup) -> typer.Typer:
    """A group of commands from a table, which says by itself what it can be asked for."""
    group = typer.Typer(cls=type(kind.__name__, (kind,), {"late": late}), help=help, no_args_is_help=True)
    group.callback()(nothing_first)
    return group


def nothing_first() -> None:
    """What the commands of a group have in common to be done first."""
