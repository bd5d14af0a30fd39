"""README and docs/: they build without a warning, and every command that they print exists and prints what they say."""

import doctest
import importlib
import importlib.util
import inspect
import os
import pydoc
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import mulkinet
from tests.identify.chord_network import write_model
from tests.identify.demo_project import fits, make_demo_project
from tests.identify.songs import write_song
from tests.printed import arguments_of, blocks, check_options, commands, same_up_to_numbers
from tests.stores import write_store

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "meta/README.md"]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
# Commands of README that a test cannot run here, each with the reason.
NOT_RUN = {
    "git clone": "test_install.py runs the installation, test_demo.py what `make demo` makes",
    "da-tacos --download": "it fetches gigabytes",
    "mulkinet serve": "it serves until it is stopped; tests/serve runs it",
}


def test_docs_build_without_a_warning(tmp_path):
    pytest.importorskip("mkdocs")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    assert "evaluate" in (tmp_path / "api" / "evaluation.html").read_text(encoding="utf-8")


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 220


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_printed_commands_and_their_options_exist(page):
    from mulkinet.cli.main import main

    for language, code, _ in blocks(page.read_text(encoding="utf-8")):
        if language == "python":
            compile(code, str(page), "exec")
            continue
        for words in commands(code):
            arguments = arguments_of(words)
            if arguments and not words[0].startswith("MULKINET_PLUGINS="):
                check_options(main, arguments)


def test_links_of_readme_lead_somewhere():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    assert len(links) > 10
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_systems_are_the_same_in_readme_and_docs():
    pages = [ROOT / "README.md", ROOT / "docs" / "systems.md"]
    one, other = (
        re.search(r"^\| system .*?\n\n", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
        for page in pages
    )
    assert one[0] == other[0]
    assert one[0].count("\n| ") == 12


# Both change what is registered for the rest of the process; tests/training/test_plugins.py runs CONTRIBUTING's.
WITHOUT_EXAMPLE = {"mulkinet.models.register_network", "mulkinet.losses.register_loss"}


@pytest.fixture(scope="module")
def reference():
    """{name: object} of the pages of the reference."""
    pages = [page.read_text(encoding="utf-8") for page in (ROOT / "docs" / "api").glob("*.md")]
    names = re.findall(r"^::: (\S+)", "\n".join(pages), re.MULTILINE)
    return {name: pydoc.locate(name) for name in names}


def test_every_public_name_is_in_the_reference_with_an_example(reference):
    documented = {id(thing) for thing in reference.values()}
    assert [n for n in mulkinet.__all__ if id(getattr(mulkinet, n)) not in documented] == []
    callables = {name for name, thing in reference.items() if callable(thing)}
    bare = {name for name in callables if ">>> " not in inspect.getdoc(reference[name])}
    assert bare == WITHOUT_EXAMPLE


def test_examples_of_the_reference_are_right(reference, tmp_path, monkeypatch, rng):
    """They may use a small store, sample.h5, a folder of audio, music, and a model for it, chords.h5."""
    modules = {_module_of(name) for name in reference}
    write_store(tmp_path / "sample.h5", rng)
    write_model(tmp_path / "chords.h5")
    for name, song in {"Help/studio": (2, 0), "Help/live": (2, 1), "Girl/studio": (5, 0)}.items():
        write_song(tmp_path / "music" / f"{name}.wav", *song, seconds=30.0)
    monkeypatch.chdir(tmp_path)
    found = {name: doctest.testmod(importlib.import_module(name)) for name in sorted(modules)}
    assert {name: result for name, result in found.items() if result.failed} == {}


def _module_of(name):
    """The module in which a public name is defined."""
    while True:
        try:
            if importlib.util.find_spec(name) is not None:
                return name
        except ModuleNotFoundError:
            pass
        name = name.rpartition(".")[0]


@pytest.mark.slow
def test_readme_runs_as_printed(tmp_path):
    """Its blocks in order, in one folder in which `make demo` has run."""
    project = ROOT if fits(ROOT) else make_demo_project(tmp_path / "made", ROOT)
    folder = tmp_path / "mulkinet"
    folder.mkdir()
    for name in ("datasets", "meta"):
        os.symlink(project / name, folder / name)
    shutil.copytree(project / "models", folder / "models")
    for name in ("preprocess.py", "train.py", "evaluate.py"):
        shutil.copy(ROOT / name, folder / name)
    programs = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    run = 0
    for language, code, output in blocks((ROOT / "README.md").read_text(encoding="utf-8")):
        if any(part in code for part in NOT_RUN):
            continue
        interpreter = ["sh", "-ec"] if language == "sh" else [sys.executable, "-c"]
        done = subprocess.run(
            [*interpreter, code], cwd=folder, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{code}\n{done.stderr}"
        assert same_up_to_numbers(output, done.stdout + done.stderr) is None, code
        run += 1
    assert run >= 8


def test_numbers_may_differ_and_words_may_not():
    output = "w0003   w0003_p1  0.21  yes\nother\nw0001   w0001_p1   0.5   no\n"
    assert (
        same_up_to_numbers("w0003  w0003_p1  0.1978  yes\n...\nw0001 w0001_p1 0.6 no", output)
        is None
    )
    assert (
        same_up_to_numbers("w0003  w0003_p1  0.1978  no", output) == "w0003  w0003_p1  0.1978  no"
    )
    assert same_up_to_numbers("w0001 w0001_p1 0.6 no\nother", output) == "other"


def test_an_option_that_does_not_exist_is_found():
    import click

    from mulkinet.cli.main import main

    check_options(main, ["identify", "a.mp3", "--index", "my.index"])
    with pytest.raises(click.UsageError, match="no-such"):
        check_options(main, ["identify", "a.mp3", "--no-such"])
    with pytest.raises(click.UsageError, match="nothing"):
        check_options(main, ["index", "nothing"])
