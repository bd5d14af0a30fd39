"""install.sh: the search for an interpreter, reuse and recovery, with fake interpreters on a PATH of their own."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile

import pytest

# What install.sh may call, besides the interpreters and uv.
TOOLS = ["sh", "cat", "chmod", "cksum", "cp", "dirname", "mkdir", "rm", "sleep"]

# Notes what it is asked to do, in words, and makes environments whose Python is a copy of itself.
INTERPRETER = """#!/bin/sh
note() {{ echo "{name} $*" >>"$FAKE_LOG"; }}
case "$1 $2" in
"-c import sys"*) [ {runs} = yes ] && echo {version} ;;
"-c import ensurepip") [ {ensurepip} = yes ] ;;
"-c import pip") [ {pip} = yes ] ;;
"- "*) note fetch; exec "$FAKE_RUNNER" "$@" ;;
"-m venv")
    shift 2; note venv "$@"
    if [ "$1" = --without-pip ]; then shift; fi
    mkdir -p "$1/bin" "$1/lib/python{version}/site-packages"
    cp "$0" "$1/bin/python" ;;
"-m pip")
    shift 2; note pip "$@"
    case "$*" in
    *" uv") cp "$FAKE_UV" .python/uv/bin/uv ;;
    *" -e "*) {installing} ;;
    esac ;;
*) note unexpected "$@"; exit 99 ;;
esac
"""

UV = """#!/bin/sh
echo "uv $*" >>"$FAKE_LOG"
case $1 in
--version) ;;
venv)
    [ {downloads} = yes ] || exit 1
    mkdir -p .venv/bin
    cp "$FAKE_MANAGED" .venv/bin/python ;;
esac
"""


def write_script(path, text):
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return path


def write_interpreter(
    path, version, *, runs=True, ensurepip=True, pip=True, installing="true", name=None
):
    """A fake interpreter; `installing` is what the shell does when the package is installed."""
    words = {True: "yes", False: "no"}
    text = INTERPRETER.format(
        name=name or path.name,
        version=version,
        runs=words[runs],
        ensurepip=words[ensurepip],
        pip=words[pip],
        installing=installing,
    )
    return write_script(path, text)


class Machine:
    """A project folder (with a space in its name) and a PATH on which there is nothing but TOOLS."""

    def __init__(self, folder, repository):
        self.path = folder / "bin"
        self.path.mkdir()
        for tool in TOOLS:
            (self.path / tool).symlink_to(shutil.which(tool))
        self.project = folder / "my project"
        self.project.mkdir()
        for name in ["install.sh", "setup.cfg", "constraints.txt"]:
            shutil.copy(repository / name, self.project / name)
        self.log = folder / "log"
        self.managed = write_interpreter(folder / "managed", "3.11", name="managed")
        self.uv_download = write_script(folder / "uv", UV.format(downloads="yes"))

    def add(self, name, version, **options):
        write_interpreter(self.path / name, version, **options)

    def serve_pip(self, wheel="right"):
        """Has install.sh fetch pip from a file, which may be absent or another than expected."""
        path = self.log.with_name("pip.whl")
        if wheel != "absent":
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("pip/__main__.py", "print('pip')")
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest() if wheel == "right" else "0" * 64
        script = self.project / "install.sh"
        text = re.sub("(?m)^pip_wheel=.*", f"pip_wheel={path.as_uri()}", script.read_text())
        script.write_text(re.sub("(?m)^pip_sha256=.*", f"pip_sha256={sha256}", text))

    def environment(self):
        return {
            "PATH": str(self.path),
            "FAKE_LOG": str(self.log),
            "FAKE_MANAGED": str(self.managed),
            "FAKE_UV": str(self.uv_download),
            "FAKE_RUNNER": sys.executable,
        }

    def run(self):
        """Runs install.sh from elsewhere: (exit status, lines on stderr, what was called)."""
        self.log.write_text("")
        result = subprocess.run(
            [str(self.path / "sh"), str(self.project / "install.sh")],
            cwd=self.path,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=30,
        )
        return result.returncode, result.stderr.splitlines(), self.log.read_text().splitlines()

    def left(self):
        """What is in the project besides the files it came with."""
        files = {"install.sh", "setup.cfg", "constraints.txt"}
        return {path.name for path in self.project.iterdir()} - files


@pytest.fixture
def machine(tmp_path, repository):
    return Machine(tmp_path, repository)


@pytest.mark.parametrize(
    ("interpreters", "chosen"),
    [
        ({"python3.11": "3.11"}, "python3.11"),
        ({"python3.10": "3.10"}, "python3.10"),
        ({"python3.9": "3.9"}, "python3.9"),
        ({"python3": "3.10"}, "python3"),
        ({"python": "3.9"}, "python"),
        ({"python3.9": "3.9", "python3.10": "3.10", "python3.11": "3.11"}, "python3.11"),
        ({"python3": "3.13", "python3.9": "3.9"}, "python3.9"),
    ],
)
def test_finds_a_supported_interpreter(machine, interpreters, chosen):
    for name, version in interpreters.items():
        machine.add(name, version)
    status, errors, calls = machine.run()
    assert (status, errors) == (0, [])
    assert calls[0] == f"{chosen} venv .venv"
    assert calls[1] == f"{chosen} pip install -c constraints.txt setuptools wheel"
    assert calls[2].startswith(
        f"{chosen} pip install -c constraints.txt --no-build-isolation -e .["
    )
    assert len(calls) == 3
    assert machine.left() == {".venv"}


def test_passes_over_a_pyenv_shim_that_does_not_run(machine):
    machine.add("python3.11", "3.11", runs=False)
    machine.add("python3.10", "3.10")
    status, _, calls = machine.run()
    assert status == 0
    assert calls[0] == "python3.10 venv .venv"


def test_passes_over_an_interpreter_that_cannot_make_environments(machine):
    machine.add("python3.11", "3.11", ensurepip=False, pip=False)
    machine.add("python3.9", "3.9")
    status, _, calls = machine.run()
    assert status == 0
    assert calls[0] == "python3.9 venv .venv"


def test_pip_does_where_debian_has_taken_ensurepip_away(machine):
    machine.add("python3", "3.11", ensurepip=False)
    status, errors, calls = machine.run()
    assert (status, errors) == (0, [])
    assert calls[:2] == [
        "python3 venv --without-pip .venv",
        "python3 pip install --quiet --target .venv/lib/python3.11/site-packages pip",
    ]


def test_pip_is_fetched_where_debian_has_neither(machine):
    machine.serve_pip()
    machine.add("python3.11", "3.11", ensurepip=False, pip=False)
    status, errors, calls = machine.run()
    assert (status, errors) == (0, [])
    assert calls[:2] == ["python3.11 venv --without-pip .venv", "python3.11 fetch"]
    packages = machine.project / ".venv" / "lib" / "python3.11" / "site-packages"
    assert (packages / "pip" / "__main__.py").read_text() == "print('pip')"
    assert machine.left() == {".venv"}
    assert machine.run() == (0, [], [])


@pytest.mark.parametrize("wheel", ["absent", "another"])
def test_neither_and_no_pip_to_be_had_is_one_line_with_the_debian_package(machine, wheel):
    machine.serve_pip(wheel)
    machine.add("python3", "3.11", ensurepip=False, pip=False)
    status, errors, _ = machine.run()
    assert status == 1
    assert len(errors) == 1
    assert errors[0].endswith("try: apt-get install python3.11-venv")
    assert machine.left() == set()


def test_only_a_newer_python_has_uv_bring_311(machine):
    machine.add("python3", "3.13")
    status, errors, calls = machine.run()
    assert (status, errors) == (0, [])
    assert calls[:3] == [
        "python3 venv .python/uv",
        "python3 pip install --quiet uv",
        "uv venv --quiet --seed --python 3.11 .venv",
    ]
    assert calls[3].startswith("managed pip install")
    assert not (machine.project / ".python" / "uv").exists()


def test_uv_on_the_path_is_used_as_it_is(machine):
    write_script(machine.path / "uv", UV.format(downloads="yes"))
    status, errors, calls = machine.run()
    assert (status, errors) == (0, [])
    assert calls[:2] == ["uv --version", "uv venv --quiet --seed --python 3.11 .venv"]
    assert machine.left() == {".venv"}


@pytest.mark.parametrize(
    ("interpreters", "found"), [({"python3": "3.13"}, "python3 (3.13)"), ({}, "none")]
)
def test_no_python_to_be_had_is_one_line(machine, interpreters, found):
    for name, version in interpreters.items():
        machine.add(name, version)
    machine.uv_download.write_text(UV.format(downloads="no"))
    status, errors, _ = machine.run()
    assert status == 1
    assert len(errors) == 1
    assert f"expected Python 3.9, 3.10 or 3.11, found {found}," in errors[0]
    assert "install python3.11" in errors[0]
    assert machine.left() == set()


def test_second_run_reuses_what_is_there(machine):
    machine.add("python3.11", "3.11")
    machine.run()
    assert machine.run() == (0, [], [])


@pytest.mark.parametrize("name", ["setup.cfg", "constraints.txt"])
def test_changed_requirements_are_installed_into_the_same_environment(machine, name):
    machine.add("python3.11", "3.11")
    machine.run()
    with open(machine.project / name, "a", encoding="utf-8") as file:
        file.write("# changed\n")
    status, _, calls = machine.run()
    assert status == 0
    assert [call.split()[1] for call in calls] == ["pip", "pip"]
    assert machine.run() == (0, [], [])


def test_environment_made_by_hand_is_kept(machine):
    machine.add("python3.11", "3.11")
    (machine.project / ".venv" / "bin").mkdir(parents=True)
    write_interpreter(machine.project / ".venv" / "bin" / "python", "3.10", name="mine")
    status, _, calls = machine.run()
    assert status == 0
    assert {call.split()[0] for call in calls} == {"mine"}


def test_environment_whose_python_is_gone_is_made_anew(machine):
    machine.add("python3.11", "3.11")
    machine.run()
    (machine.project / ".venv" / "bin" / "python").unlink()
    status, _, calls = machine.run()
    assert status == 0
    assert calls[0] == "python3.11 venv .venv"


def test_failed_installation_is_not_taken_for_whole(machine):
    machine.add("python3.11", "3.11", installing="echo no network >&2; exit 1")
    status, errors, _ = machine.run()
    assert status == 1
    assert errors[0] == "no network"
    assert "try again with a network" in errors[1]
    machine.add("python3.11", "3.11")
    status, _, calls = machine.run()
    assert status == 0
    assert calls[0] == "python3.11 venv .venv"


def test_failed_update_keeps_the_environment_and_is_tried_again(machine):
    machine.add("python3.11", "3.11")
    machine.run()
    (machine.project / "constraints.txt").write_text("# changed\n")
    python = machine.project / ".venv" / "bin" / "python"
    write_interpreter(python, "3.11", installing="exit 1", name="kept")
    assert machine.run()[0] == 1
    status, _, calls = machine.run()
    assert status == 1
    assert {call.split()[0] for call in calls} == {"kept"}


@pytest.fixture
def sigint_at_default():
    """Children start with SIGINT at its default, also where the suite was started ignoring it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # exec makes it the default
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("sigint_at_default")
@pytest.mark.parametrize(
    ("kill", "expected"),
    [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130), (signal.SIGTERM, 143)],
)
def test_interrupted_installation_is_not_taken_for_whole(machine, kill, expected):
    # exec: a signal between the note in the log and the shell's fork for sleep would be lost.
    machine.add("python3.11", "3.11", installing="exec sleep 30")
    machine.log.write_text("")
    process = subprocess.Popen(
        [str(machine.path / "sh"), str(machine.project / "install.sh")],
        env=machine.environment(),
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 20
        while " -e " not in machine.log.read_text() and time.monotonic() < deadline:
            time.sleep(0.01)
        os.killpg(process.pid, kill)  # as Ctrl-C does: install.sh and pip
        assert process.wait(timeout=20) == expected
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert (machine.project / ".venv.unfinished").exists()
    machine.add("python3.11", "3.11")
    status, _, calls = machine.run()
    assert status == 0
    assert calls[0] == "python3.11 venv .venv"
