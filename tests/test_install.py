"""install.sh, run as it is on this machine's own interpreters."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

# What install.sh calls besides interpreters and uv.
TOOLS = ["sh", "cat", "cksum", "dirname", "rm"]
FILES = ["install.sh", "setup.cfg", "pyproject.toml", "constraints.txt", "README.md", "LICENSE"]


@pytest.fixture
def project(tmp_path, repository):
    """A copy of the project, in a folder with a space in its name."""
    project = tmp_path / "my project"
    project.mkdir()
    for name in FILES:
        shutil.copy(repository / name, project / name)
    shutil.copytree(repository / "mulkinet", project / "mulkinet")
    return project


@pytest.fixture
def path(tmp_path):
    """A folder to be PATH, in which there is nothing but TOOLS."""
    path = tmp_path / "bin"
    path.mkdir()
    for tool in TOOLS:
        (path / tool).symlink_to(shutil.which(tool))
    return path


def install(project, path=None):
    """Runs install.sh from elsewhere: (exit status, lines on stderr)."""
    environment = {**os.environ, **({"PATH": str(path)} if path else {})}
    result = subprocess.run(
        [shutil.which("sh"), str(project / "install.sh")],
        cwd=project.parent,
        env=environment,
        capture_output=True,
        text=True,
    )
    return result.returncode, result.stderr.splitlines()


def left(project):
    """What is in the project besides what it came with."""
    return {entry.name for entry in project.iterdir()} - {*FILES, "mulkinet"}


def add_interpreter(path, without=()):
    """This interpreter as python3.11, with modules that cannot be imported."""
    hidden = path.parent / "hidden"
    for module in without:
        (hidden / module).mkdir(parents=True)
        (hidden / module / "__init__.py").write_text("raise ImportError")
    script = path / "python3.11"
    script.write_text(f'#!/bin/sh\nPYTHONPATH="{hidden}" exec "{sys.executable}" "$@"\n')
    script.chmod(0o755)


def test_no_python_is_one_line_that_says_what_to_install(project, path):
    status, errors = install(project, path)
    assert status == 1
    assert errors == [
        "install.sh: expected Python 3.9, 3.10 or 3.11 on PATH, found none; "
        "install python3.11, or uv, which brings it"
    ]
    assert left(project) == set()


def test_a_python_without_ensurepip_and_pip_is_one_line_with_the_package(project, path):
    add_interpreter(path, without=["ensurepip", "pip"])
    status, errors = install(project, path)
    assert status == 1
    assert len(errors) == 1
    assert errors[0].endswith("try: apt-get install python3-venv")
    assert left(project) == set()


def test_an_interpreter_that_does_not_run_is_passed_over(project, path):
    shim = path / "python3.11"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    status, errors = install(project, path)
    assert status == 1
    assert "found none" in errors[0]


def test_a_second_run_does_nothing(project, path):
    """The stamp of a finished installation, as install.sh writes it, is enough."""
    add_interpreter(path)
    (project / ".venv" / "bin").mkdir(parents=True)
    (project / ".venv" / "bin" / "python").symlink_to(sys.executable)
    wanted = subprocess.run(
        'echo "$(cat install.sh setup.cfg constraints.txt | cksum) $PWD"',
        shell=True,
        cwd=project,
        capture_output=True,
        text=True,
    ).stdout
    (project / ".venv" / "mulkinet-installed").write_text(wanted)
    assert install(project, path) == (0, [])
    assert left(project) == {".venv"}


@pytest.mark.slow
def test_a_killed_installation_is_made_anew_and_works(project):
    """Needs the package index; everything is downloaded or taken from pip's cache."""
    first = subprocess.Popen(
        [shutil.which("sh"), str(project / "install.sh")],
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 300
        while not list(project.glob(".venv/lib/python3*/site-packages/wheel-*")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
    assert left(project) == {".venv", ".venv.unfinished"}
    assert install(project)[0] == 0
    assert ".venv.unfinished" not in left(project)
    command = str(project / ".venv" / "bin" / "mulkinet")
    assert subprocess.run([command, "--help"], capture_output=True).returncode == 0
    assert install(project) == (0, [])
