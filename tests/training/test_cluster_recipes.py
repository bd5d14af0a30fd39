"""The recipes that docs/guides/cluster.md prints for training on several machines, run as they stand there."""

import json
import os
import re
import stat
import subprocess
import sys

import pytest
import yaml

from tests.patterns import write_pattern_store
from tests.training.test_distributed_training import PLAIN, PLAIN_MOVE, free_port

# What a recipe starts: it tells what it was given.
TELL = """#!/bin/sh
echo "$(echo "$TF_CONFIG" | tr '\\n' ' ') $0 $*"
"""
SCONTROL = """#!/bin/sh
[ "$*" = "show hostnames node[1-4]" ] && printf 'node1\\nnode2\\nnode3\\nnode4\\n'
"""
SRUN = """#!/bin/sh
for SLURM_PROCID in 0 1 2 3; do export SLURM_PROCID; "$@"; done
"""


@pytest.fixture
def recipe(repository):
    """Function that gives the block of the page that a pattern is found in."""
    text = (repository / "docs" / "guides" / "cluster.md").read_text(encoding="utf-8")
    found = re.findall(r"```(?:sh|yaml)\n(.*?)```", text, re.DOTALL)
    return lambda pattern: next(block for block in found if pattern in block)


@pytest.fixture
def run(tmp_path):
    """Function that runs a script where some programs are others: the lines that it prints."""

    def start(script, programs, **environment):
        for name, text in programs.items():
            path = tmp_path / name
            path.write_text(text)
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
        environment = {**os.environ, **environment, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
        done = subprocess.run(
            ["sh", "-c", script],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
            timeout=300,
        )
        return done.stdout.splitlines()

    return start


def told(lines):
    """(TF_CONFIG, command) of each line of `TELL`."""
    found = []
    for line in lines:
        config, end = json.JSONDecoder().raw_decode(line)
        found.append((config, line[end:].split()))
    return found


def test_two_workers_on_one_machine(recipe, run):
    found = told(run(recipe("localhost:2222"), {"python": TELL}))
    assert sorted(config["task"]["index"] for config, _ in found) == [0, 1]
    for config, command in found:
        assert config["task"]["type"] == "worker"
        assert config["cluster"] == {"worker": ["localhost:2222", "localhost:2223"]}
        assert command[1:3] == ["train.py", "--data-dir"]


def test_slurm(recipe, run):
    programs = {"python": TELL, "scontrol": SCONTROL, "srun": SRUN}
    found = told(run(recipe("#SBATCH --nodes=4"), programs, SLURM_JOB_NODELIST="node[1-4]"))
    assert [config["task"] for config, _ in found] == [
        {"type": "worker", "index": number} for number in range(4)
    ]
    for config, command in found:
        assert config["cluster"] == {"worker": [f"node{number}:2222" for number in (1, 2, 3, 4)]}
        assert command[1] == "train.py"


def test_kubernetes(recipe, run):
    service, job = yaml.safe_load_all(recipe("kind: Job"))
    name, spec = job["metadata"]["name"], job["spec"]
    pod = spec["template"]["spec"]
    assert service["metadata"]["name"] == pod["subdomain"]
    assert service["spec"]["selector"] == {"job-name": name}
    [container] = pod["containers"]
    assert container["command"] == ["sh", "-c"]
    [script] = container["args"]
    hosts = [f"{name}-{number}.{pod['subdomain']}:2222" for number in range(spec["completions"])]
    for number in range(spec["completions"]):
        [(config, command)] = told(
            run(script, {"mulkinet": TELL}, JOB_COMPLETION_INDEX=str(number))
        )
        assert config == {
            "cluster": {"worker": hosts},
            "task": {"type": "worker", "index": number},
        }
        assert command[1] == "train"
    assert spec["parallelism"] == spec["completions"] == len(hosts)


@pytest.mark.slow
def test_two_workers_train_as_printed(recipe, run, repository, tmp_path):
    (tmp_path / "datasets").mkdir()
    write_pattern_store(tmp_path / "datasets" / "my-music.h5", n_frames=340)
    options = {**PLAIN_MOVE, **PLAIN, "loss": "softmax", "max_epoch": 1}
    options = " ".join(f"--{name.replace('_', '-')}={value}" for name, value in options.items())
    small = f'#!/bin/sh\ncd "{tmp_path}" && exec "{sys.executable}" "{repository}"/"$@" {options}\n'
    script = recipe("localhost:2222")
    for port in ("2222", "2223"):  # ports that are free here
        script = script.replace(port, str(free_port()))
    assert "best: epoch" in "\n".join(run(script, {"python": small}, PYTHONPATH=str(repository)))
    assert (tmp_path / "models" / "both" / "best.h5").is_file()
