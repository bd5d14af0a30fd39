"""What is read from a source is what the imported class has."""

import inspect

import pytest

from mulkinet.losses import LOSSES
from mulkinet.models import NETWORKS
from mulkinet.registry import _entry_of_class, _options


@pytest.mark.parametrize("registry", [NETWORKS, LOSSES])
def test_the_source_says_what_the_class_is(registry):
    entries = registry.entries()
    for name, entry in entries.items():
        cls = registry.get(name)
        assert (cls.__module__, cls.__name__) == (entry.module, entry.class_name)
        assert _entry_of_class(cls) == entry
        assert all(option.help for option in entry.options.values()), inspect.getfile(cls)


def test_help_is_the_first_sentence():
    docstring = """Something.

    Args:
        size: Size, e.g. 3 of `it`,
            over two lines. And more.
        other: Another

    Returns:
        size: Not this.
    """
    options = _options({"size": 1, "other": None, "silent": 2.0}, inspect.cleandoc(docstring))
    assert [option.help for option in options.values()] == [
        "Size, e.g. 3 of it, over two lines.",
        "Another.",
        "",
    ]
