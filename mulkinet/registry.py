"""Networks and losses by name: what the package has, and what code outside of it registers.

A class registers itself by a decorator, `@register_network("move")` or `@register_loss("triplet")`. Its options are
the keyword-only arguments of its constructor that have defaults, its help texts the first sentences of its docstring's
`Args`, its recipes (if any) its class attribute `recipes`.

The package's own classes are read from their source, so that `--help` lists them without TensorFlow; a module is
imported when one of its classes is asked for. Code outside the package is imported first: before anything is listed,
the modules that the environment variable `MULKINET_PLUGINS` names (separated by commas) are.
"""

import ast
import importlib
import inspect
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

from mulkinet.errors import MulkinetError

__all__ = ["PLUGINS", "Entry", "Option", "Registry"]

PLUGINS = "MULKINET_PLUGINS"


class Option(NamedTuple):
    """An option of a network or loss: its default (a bool, int, float, str or None) and a sentence of help."""

    default: Any
    help: str


class Entry(NamedTuple):
    """What is known of a class without importing it.

    Attributes:
        module: Name of the module that it is in.
        class_name: Its name there.
        options: dict of name to Option.
        recipes: dict of name to dict of options.
    """

    module: str
    class_name: str
    options: dict
    recipes: dict


class Registry:
    """The networks, or the losses.

    Args:
        kind: "network" or "loss", for messages.
        package: Name of the package in whose modules the classes are.
        decorator: Name of the decorator that registers them there.
        attribute: Class attribute that the decorator sets to the name.
    """

    def __init__(self, kind, package, decorator, attribute):
        self._kind = kind
        self._attribute = attribute
        self._package = package
        self._decorator = decorator
        self._entries = None
        self._classes = {}

    def register(self, name):
        """A class decorator: registers the class by this name.

        Raises:
            MulkinetError: Another class has the name.
        """

        def decorate(cls):
            own = cls.__module__.startswith(f"{self._package}.")
            if not own:
                found = self._own_entries().get(name) or self._classes.get(name)
                if found:
                    raise MulkinetError(
                        f"expected a new name for the {self._kind} {cls.__name__}, found {name!r}, "
                        "which another one has; choose another"
                    )
                self._own_entries()[name] = _entry_of_class(cls)
            setattr(cls, self._attribute, name)
            self._classes[name] = cls
            return cls

        return decorate

    def entries(self):
        """Dict of name to Entry of every class, the package's own first."""
        entries = self._own_entries()
        _import_plugins()
        return entries

    def entry(self, name):
        """The Entry of a name; raises MulkinetError where there is none."""
        entries = self.entries()
        if name not in entries:
            raise MulkinetError(
                f"expected a {self._kind} among {', '.join(entries)}, found {name!r}; "
                f"try one of these names, or name the module that has it in {PLUGINS}"
            )
        return entries[name]

    def get(self, name):
        """The class of a name; raises MulkinetError where there is none."""
        entry = self.entry(name)
        if name not in self._classes:
            importlib.import_module(entry.module)
        return self._classes[name]

    def _own_entries(self):
        if self._entries is None:
            self._entries = dict(self._read_package())
        return self._entries

    def _read_package(self):
        folder = Path(__file__).parent / self._package.partition(".")[2]
        for path in sorted(folder.glob("*.py")):
            source = path.read_text(encoding="utf-8")
            if f"@{self._decorator}(" not in source:
                continue
            for node in ast.parse(source).body:
                for decorator in getattr(node, "decorator_list", ()):
                    if ast.unparse(decorator).startswith(f"{self._decorator}("):
                        name = ast.literal_eval(decorator.args[0])
                        yield name, _entry_of_source(node, f"{self._package}.{path.stem}")


def _import_plugins():
    for name in filter(None, os.environ.get(PLUGINS, "").split(",")):
        try:
            importlib.import_module(name.strip())
        except ModuleNotFoundError as error:
            raise MulkinetError(
                f"expected modules in {PLUGINS}, found no module {error.name}; "
                "put its folder on PYTHONPATH"
            ) from error


def _entry_of_source(node, module):
    """The Entry of a class definition: ast.ClassDef."""
    defaults, recipes = {}, {}
    for part in node.body:
        if isinstance(part, ast.FunctionDef) and part.name == "__init__":
            pairs = zip(part.args.kwonlyargs, part.args.kw_defaults)
            defaults = {arg.arg: ast.literal_eval(value) for arg, value in pairs if value}
        elif isinstance(part, ast.Assign) and ast.unparse(part.targets[0]) == "recipes":
            recipes = ast.literal_eval(part.value)
    return Entry(module, node.name, _options(defaults, ast.get_docstring(node)), recipes)


def _entry_of_class(cls):
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(cls.__init__).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.default is not parameter.empty
    }
    recipes = getattr(cls, "recipes", {})
    return Entry(cls.__module__, cls.__name__, _options(defaults, inspect.getdoc(cls)), recipes)


def _options(defaults, docstring):
    arguments = (docstring or "").partition("Args:\n")[2]
    # Up to the next section, which is not indented.
    arguments = re.split(r"\n\S", arguments)[0]
    texts = dict(re.findall(r"^    (\w+): (.*(?:\n {5,}.*)*)", arguments, re.MULTILINE))
    return {
        name: Option(default, _first_sentence(texts.get(name, "")))
        for name, default in defaults.items()
    }


def _first_sentence(text):
    text = " ".join(text.replace("`", "").split())
    return re.split(r"\. (?=[A-Z])", text)[0].rstrip(".") + "." if text else ""
