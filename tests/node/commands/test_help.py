"""Every command and option explains itself, in the text that the terminal shows."""

import re
from inspect import cleandoc
from pathlib import Path

import pytest
import typer
from typer.core import TyperCommand, TyperGroup
from typer.testing import CliRunner

from node.cli import COMMANDS, RULES_COMMANDS, application
from node.commands.terminal import console, error_console

WIDE = {"COLUMNS": "400", "TERM": "dumb"}


def commands(*within: str) -> dict[str, TyperCommand]:
    group = typer.main.get_command(application)
    assert isinstance(group, TyperGroup)
    for name in within:
        group = group.commands[name]
        assert isinstance(group, TyperGroup)
    return {name: command for name, command in group.commands.items() if isinstance(command, TyperCommand)}


COMMAND = commands()
ALL = COMMAND | {f"rules {name}": command for name, command in commands("rules").items()}


def words(text: str) -> str:
    """Return help text as plain words: markup unescaped, line breaks and the frames of tables removed."""
    return " ".join(re.sub(r"[│╭╮╰╯─*]", " ", text.replace(r"\[", "[")).split())


def shown(*arguments: str) -> str:
    result = CliRunner().invoke(application, [*arguments, "--help"], env=WIDE)
    assert result.exit_code == 0
    return words(result.stdout)


def helps(command: TyperCommand) -> dict[str, str]:
    """Return the help of a command and of each of its parameters, by name."""
    return {"": command.help or ""} | {
        str(parameter.name): getattr(parameter, "help", None) or "" for parameter in command.params
    }


def says_something(text: str) -> bool:
    """Tell whether a help text has at least four words and says which thing it is about."""
    return len(text.split()) >= 4 and not text.startswith(("Of ", "How many"))


def test_the_help_shows_every_command_in_its_group() -> None:
    told = shown()
    for group, functions in COMMANDS.items():
        assert group in told
        assert all(function.__name__.replace("_", "-") in COMMAND for function in functions)
    assert len(COMMAND) == sum(map(len, COMMANDS.values()))
    assert set(commands("rules")) == set(RULES_COMMANDS)


@pytest.mark.parametrize("name", ALL)
def test_every_command_and_option_has_a_help_that_says_something(name: str) -> None:
    assert [key for key, text in helps(ALL[name]).items() if not says_something(text)] == []


@pytest.mark.parametrize("name", ALL)
def test_every_help_is_shown_whole(name: str) -> None:
    """Rich takes words in square brackets for markup and swallows them, unless they are escaped."""
    told = shown(*name.split())
    for text in helps(ALL[name]).values():
        assert words(cleandoc(text)) in told


def test_a_help_that_says_nothing_is_noticed() -> None:
    assert not any(map(says_something, ("", "Of the model.", "How many.", "Study Instance UID.")))


def test_brackets_are_printed_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = CliRunner().invoke(application, ["init", str(tmp_path / "node")], env=WIDE)
    assert "Name your senders in [[sources]] and your PACS in [[destinations]]." in made.stdout
    for one in (console, error_console):
        one.print("[storage] directory", {"note": "[not measured: L1]"})
    told = "".join(capsys.readouterr())
    assert told.count("[storage] directory") == told.count("[not measured: L1]") == 2
