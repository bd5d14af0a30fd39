"""What the documentation prints: its blocks of commands, code and output."""

import re
import shlex
import textwrap

import click

__all__ = ["arguments_of", "blocks", "check_options", "commands", "same_up_to_numbers"]

_PROGRAMS = ("mulkinet", "python", "mkdir", "cp", "mv", "make", "git", "source")


def blocks(markdown):
    """The indented blocks of a page that are commands or code, in order.

    A block is (language, code, output): its first paragraph is the code, and what follows is what it prints. A
    Python block has no output.
    """
    found = []
    for block in re.findall(r"(?:^    .*\n|^\n(?=    ))+", markdown, re.MULTILINE):
        text = textwrap.dedent(block).strip("\n")
        first = re.match(r"(\$ )?(\S+)", text.lstrip())[2]
        if first in ("import", "from"):
            found.append(("python", text, ""))
        elif first in _PROGRAMS:
            code, _, output = text.partition("\n\n")
            found.append(("sh", code, output))
    return found


def commands(code):
    """The command lines of a block of shell, split into words; without what is piped or appended."""
    lines = code.replace("\\\n", " ").splitlines()
    return [
        shlex.split(part, comments=True)
        for line in lines
        for part in re.split(r" && | > ", line.replace("$ ", "", 1))[:1]
    ]


def arguments_of(words):
    """The words after the package's own program, from "train" or "index" on; None for other programs."""
    while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        words = words[1:]
    if words[:1] == ["mulkinet"]:
        return words[1:]
    if words[:1] == ["python"] and len(words) > 1:
        for name in ("preprocess", "train", "evaluate"):
            if words[1] == f"{name}.py":
                return [name, *words[2:]]
        if words[1:3] == ["-m", "mulkinet"]:
            return words[3:]
    return None


def check_options(command, arguments, name="mulkinet"):
    """Raises click.UsageError where a subcommand or an option does not exist."""
    # With the command's own settings: click keeps the help option that it makes first.
    context = click.Context(command, info_name=name, **command.context_settings)
    if isinstance(command, click.Group):
        if not arguments or arguments[0].startswith("-"):
            return
        found = command.get_command(context, arguments[0])
        if found is None:
            raise click.UsageError(f"{name} has no command {arguments[0]}")
        check_options(found, arguments[1:], f"{name} {arguments[0]}")
    else:
        command.make_parser(context).parse_args(args=list(arguments))


def same_up_to_numbers(printed, output):
    """The first line of `printed` that does not follow, in order, among the lines of `output`; None if all do."""
    lines = iter(_without_numbers(line) for line in output.splitlines())
    for line in printed.splitlines():
        wanted = _without_numbers(line)
        if wanted in ("", "..."):
            continue
        if wanted not in lines:
            return line
    return None


def _without_numbers(line):
    """A line in which numbers (not those within names), runs of spaces and rules of any length are alike."""
    line = re.sub(r"\b\d+([.:]\d+)*", "#", line)
    return re.sub(r"-{3,}", "---", re.sub(r"\s+", " ", line)).strip()
