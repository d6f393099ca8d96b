"""What the launchers print and run: every argument arrives as it was given."""

import argparse
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

import kubernetes_validate
import pytest
import yaml

from launch import gke, local, slurm, tpu, tpu_vm
from launch.common import launch, name_of_run
from mmjax.errors import UserError
from tests.launch.schemas import problems

ROOT = pathlib.Path(__file__).parents[2]
LAUNCHERS = {"gke": gke, "local": local, "slurm": slurm, "tpu_vm": tpu_vm}
# What a shell, a heredoc, printf, YAML or Kubernetes might take for something of its own.
HARD = [
    "--config.name=a b  c",
    "--config.name='single' \"double\"",
    "--config.name=$HOME $(id) `id` ${PATH} $$ $$(X)",
    "--config.name=back\\slash \\n %j {x} {{y}} # no: comment",
    "--config.name=*;&|<>!~ yes",
    "--config.name=two\nlines",
]
COMMON = ["--config", "configs/a b.py:full", *HARD]
ON_SHARE = [*COMMON, "--workdir", "/runs/it's $here"]
HERE = [*COMMON, "--workdir", "runs/it's $here"]
NFS = ["--nfs", "10.0.0.2:/a share"]
GKE = ["--image", "reg.io/mmjax:1", "--queue", "team", "--slice", "v5p:4x4x8", "--slices", "2"]
TPU_VM = ["--name", "my-run", "--zone", "us-east5-b", "--slice", "v6e:16x16", "--spot"]
TPU_VM += ["--repository", "https://example.com/m m.git", *NFS]


def dry_run(module, arguments, capsys):
    name = module.__name__
    code = launch(name, "", module.add_arguments, module.run, [*arguments, "--dry-run"])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return captured.out


def fails(module, arguments, capsys):
    name = module.__name__
    assert launch(name, "", module.add_arguments, module.run, [*arguments, "--dry-run"]) == 2
    return capsys.readouterr().err


@pytest.fixture
def recorder(tmp_path):
    """A folder for PATH: programs of any name that note their arguments, one JSON list a line."""

    def install(*names, body=""):
        for name in names:
            path = tmp_path / "bin" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(
                f"#!{sys.executable}\nimport json, sys\n"
                f"with open({str(tmp_path / 'calls')!r}, 'a') as file:\n"
                f"  file.write(json.dumps([{name!r}, *sys.argv[1:]]) + '\\n')\n{body}\n"
            )
            path.chmod(0o755)
        return tmp_path / "bin"

    return install


def shell(text, path, **options):
    environment = os.environ | {"PATH": f"{path}:{os.environ['PATH']}"}
    return subprocess.run(
        ["bash", "-c", text], env=environment, capture_output=True, text=True, timeout=60, **options
    )


def calls(tmp_path):
    return [json.loads(line) for line in (tmp_path / "calls").read_text().splitlines()]


README = re.findall(r"^python -m (launch\.\w+) (.*)$", (ROOT / "README.md").read_text(), re.M)


def test_the_readme_names_every_launcher():
    assert sorted(name for name, _ in README) == [f"launch.{n}" for n in LAUNCHERS]


@pytest.mark.parametrize(("name", "arguments"), README)
def test_the_readme_commands_say_what_they_would_do(name, arguments, capsys):
    said = dry_run(LAUNCHERS[name.partition(".")[2]], shlex.split(arguments), capsys)
    assert "configs/quickstart.py" in said and "train" in said


def passed_on(workdir):
    return ["train", "--config", "configs/a b.py:full", "--workdir", workdir, *HARD]


def test_local_prints_a_command_for_each_process(capsys):
    arguments = [*HERE, "--processes", "2", "--cpu-devices", "3"]
    text = dry_run(local, arguments, capsys)
    words = shlex.split(text)
    starts = [i for i, word in enumerate(words) if word == "JAX_PLATFORMS=cpu"]
    first, second = words[: starts[1]], words[starts[1] :]
    for number, command in enumerate((first, second)):
        assert command[1:5] == ["JAX_NUM_CPU_DEVICES=3", sys.executable, "-m", "mmjax.cli.main"]
        arguments = passed_on("runs/it's $here")
        assert command[5 : 5 + len(arguments)] == arguments
        assert command[5 + len(arguments) :: 2] == ["--coordinator", "--processes", "--process"]
        assert command[-3:] == ["2", "--process", str(number)]
    assert first[first.index("--coordinator") + 1] == second[second.index("--coordinator") + 1]


def test_slurm_submission_survives_a_shell(capsys, recorder, tmp_path):
    options = ["--nodes", "2", "--tasks-per-node", "4", "--time", "1:00:00", "--gpus-per-task", "1"]
    text = dry_run(slurm, [*HERE, *options, "--sbatch=--comment=a $b"], capsys)
    # sbatch runs what it is given, in which srun notes its arguments.
    script = "import subprocess\nsubprocess.run(['bash'], input=sys.stdin.read(), text=True)"
    recorder("sbatch", body=script)
    done = shell(text, recorder("srun", "scontrol", "squeue"))
    assert done.returncode == 0, done.stderr
    sbatch, srun, _ = calls(tmp_path)
    assert sbatch[0] == "sbatch" and srun[0] == "srun"
    assert {"--nodes=2", "--ntasks-per-node=4", "--time=1:00:00", "--requeue"} <= set(sbatch)
    assert {"--gpus-per-task=1", "--comment=a $b", "--signal=B:USR1@300"} <= set(sbatch)
    assert f"--output={os.getcwd()}/runs/it's $here/slurm-%j.log" in sbatch
    command = srun[srun.index("train") :]
    assert command == [*passed_on("runs/it's $here"), "--stopped-code", "85"]
    assert srun[: srun.index("train")][-3:] == [sys.executable, "-m", "mmjax.cli.main"]


@pytest.mark.parametrize(
    ("code", "restarts", "state", "again"),
    [
        (0, 0, "RUNNING", 0),
        (85, 20, "RUNNING", 1),  # preempted as often as it may be
        (85, 0, "COMPLETING", 0),  # cancelled
        (75, 0, "RUNNING", 1),
        (137, 19, "RUNNING", 1),
        (75, 20, "RUNNING", 0),
        (2, 0, "RUNNING", 0),
    ],
)
def test_slurm_queues_again_after_a_stop_or_a_loss_but_not_after_a_mistake(
    code, restarts, state, again, recorder, tmp_path
):
    text = slurm.script(
        argparse.Namespace(config="c", workdir="w", overrides=[], srun=[], restarts=20)
    )
    recorder("srun", body=f"sys.exit({code})")
    recorder("squeue", body=f"print({state!r})")
    done = shell(
        f"export SLURM_JOB_ID=7 SLURM_RESTART_COUNT={restarts}\n{text}", recorder("scontrol")
    )
    assert done.returncode == code
    made = [call for call in calls(tmp_path) if call[0] == "scontrol"]
    assert made == [["scontrol", "requeue", "7"]] * again


def test_slurm_passes_a_warning_on_to_the_tasks(recorder, tmp_path):
    text = slurm.script(
        argparse.Namespace(config="c", workdir="w", overrides=[], srun=[], restarts=20)
    )
    marks = f"pathlib.Path({str(tmp_path)!r}, 'warned')"
    wait = "import os, pathlib, signal, time\nos.kill(os.getppid(), signal.SIGUSR1)\n"
    wait += f"while not {marks}.exists(): time.sleep(0.05)\nsys.exit(85)"
    recorder("srun", body=wait)
    recorder("scancel", body=f"import pathlib\n{marks}.touch()")
    recorder("squeue", body="print('RUNNING')")
    done = shell(f"export SLURM_JOB_ID=7\n{text}", recorder("scontrol"))
    assert done.returncode == 85, done.stderr
    assert calls(tmp_path)[1:] == [
        ["scancel", "--signal=TERM", "--quiet", "7"],
        ["squeue", "--noheader", "--jobs=7", "--format=%T"],
        ["scontrol", "requeue", "7"],
    ]


def test_tpu_vm_script_runs_in_a_shell(capsys, recorder, tmp_path):
    text = dry_run(tpu_vm, [*ON_SHARE, *TPU_VM], capsys)
    keep = f"""
for argument in sys.argv:
  if 'startup-script=' in argument:
    import shutil; shutil.copy(argument.split('startup-script=')[1], {str(tmp_path / "startup")!r})
"""
    done = shell(text, recorder("gcloud", body=keep))
    assert done.returncode == 0, done.stderr
    describe, create = calls(tmp_path)
    queued = ["gcloud", "compute", "tpus", "queued-resources"]
    assert describe[:6] == [*queued, "describe", "my-run"]
    assert create[:10] == [
        *queued, "create", "my-run", "--zone=us-east5-b", "--accelerator-type=v6e-256",
        "--runtime-version=v2-alpha-tpuv6e", "--node-id=my-run",
    ]  # fmt: skip
    assert create[10] == "--spot" and len(create) == 12
    assert "queued-resources delete my-run --zone=us-east5-b --force --quiet" in done.stdout
    startup = (tmp_path / "startup").read_text()
    assert subprocess.run(["bash", "-n"], input=startup, text=True).returncode == 0
    commands = shlex.split(re.search(r"\n  (/opt/mmjax\S+ train .*?) \|\| code", startup, re.S)[1])
    assert commands[1:] == [
        *passed_on("/runs/it's $here"), "--coordinator", "auto", "--stopped-code", "75",
    ]  # fmt: skip
    assert "mount -t nfs '10.0.0.2:/a share' /runs" in startup
    assert "git clone 'https://example.com/m m.git' /opt/mmjax" in startup


def test_the_hosts_of_a_tpu_start_again_after_a_loss(recorder, tmp_path):
    """The startup script itself, with programs that only note how they were called."""
    options = argparse.Namespace(
        config="c", workdir="/runs/w", overrides=["name=$a 'b'"], nfs="s:/x", repository="u",
        revision="r", restarts=2,
    )  # fmt: skip
    text = tpu_vm.startup(options).replace("/var/log", str(tmp_path))
    text = text.replace("/opt/mmjax", str(tmp_path / "opt")).replace("/runs", str(tmp_path / "r"))
    programs = recorder("mount", "apt-get", "git", "sleep")
    recorder("mountpoint", body="sys.exit(1)")
    (tmp_path / "opt/.venv/bin").mkdir(parents=True)
    recorder("mmjax", body="sys.exit(75)")
    (programs / "mmjax").rename(tmp_path / "opt/.venv/bin/mmjax")
    assert shell(text, programs).returncode == 75
    found = calls(tmp_path)
    (mounted,) = [call for call in found if call[0] == "mount"]
    assert mounted[1:4] == ["-t", "nfs", "s:/x"]
    trains = [call for call in found if call[0] == "mmjax"]
    assert len(trains) == 3 and all("--config.name=$a 'b'" in call for call in trains)


@pytest.mark.parametrize(
    ("state", "verbs"),
    [("SUSPENDED", ["describe", "delete", "create"]), ("ACTIVE", ["describe"])],
)
def test_a_lost_tpu_is_asked_for_again_and_a_present_one_is_not(state, verbs, recorder, tmp_path):
    parser = argparse.ArgumentParser()
    tpu_vm.add_arguments(parser)
    options = parser.parse_args(TPU_VM)
    options.config, options.workdir, options.overrides = "c.py", "/runs/w", []
    body = f"if 'describe' in sys.argv: print({state!r})"
    done = shell(tpu_vm.script(options), recorder("gcloud", body=body))
    assert done.returncode == 0, done.stderr
    assert [call[4] for call in calls(tmp_path)] == verbs


def expanded(argument):
    """What Kubernetes makes of an argument, with no variables: $$ is $, anything else as it is."""
    return re.sub(r"\$\$", "$", argument)


def documents(arguments, capsys):
    return list(yaml.safe_load_all(dry_run(gke, arguments, capsys)))


def test_gke_job_set_is_valid_and_runs_the_command(capsys):
    (made,) = documents([*ON_SHARE, *GKE, *NFS, "--spot"], capsys)
    assert problems(made) == []
    (replicated,) = made["spec"]["replicatedJobs"]
    assert replicated["replicas"] == 2
    inner = replicated["template"]["spec"]
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "job"}, "spec": inner}
    for version in ("1.30", kubernetes_validate.latest_version()):
        kubernetes_validate.validate(job, version, strict=True)
    assert (inner["parallelism"], inner["completions"]) == (32, 32)
    pod = inner["template"]["spec"]
    (container,) = pod["containers"]
    assert container["resources"]["limits"] == {"google.com/tpu": "4"}
    command = [expanded(argument) for argument in container["command"]]
    assert command == ["mmjax", *passed_on("/runs/it's $here"), "--stopped-code", "75"]
    assert pod["nodeSelector"]["cloud.google.com/gke-tpu-topology"] == "4x4x8"
    assert pod["volumes"][0]["nfs"] == {"server": "10.0.0.2", "path": "/a share"}


def test_gke_can_make_its_queue_too(capsys):
    made = documents([*ON_SHARE, *GKE, *NFS, "--queue-for-slices", "3"], capsys)
    kinds = [one["kind"] for one in made]
    assert kinds == ["ResourceFlavor", "ClusterQueue", "LocalQueue", "JobSet"]
    assert [problem for one in made for problem in problems(one)] == []
    (group,) = made[1]["spec"]["resourceGroups"]
    assert group["flavors"][0]["resources"] == [{"name": "google.com/tpu", "nominalQuota": 384}]


def test_the_checks_of_manifests_find_mistakes(capsys):
    flavour, _, _, made = documents([*ON_SHARE, *GKE, *NFS, "--queue-for-slices", "3"], capsys)
    made["spec"]["replicatedJobs"][0]["replica"] = 1
    made["spec"]["failurePolicy"]["maxRestarts"] = "20"
    del made["spec"]["replicatedJobs"][0]["name"]
    del made["metadata"]["labels"]["kueue.x-k8s.io/queue-name"]
    assert problems(made) == [
        "metadata.labels.kueue.x-k8s.io/queue-name: missing",
        "spec.failurePolicy.maxRestarts: '20' is no int",
        "spec.replicatedJobs[0].name: missing",
        "spec.replicatedJobs[0].replica: no such field",
    ]
    flavour["apiVersion"] = "kueue.x-k8s.io/v1"
    assert problems(flavour) == ["apiVersion: 'kueue.x-k8s.io/v1' is not 'kueue.x-k8s.io/v1beta2'"]
    inner = made["spec"]["replicatedJobs"][0]["template"]["spec"]
    inner["paralellism"] = inner.pop("parallelism")
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "job"}, "spec": inner}
    with pytest.raises(kubernetes_validate.ValidationError, match="paralellism"):
        kubernetes_validate.validate(job, "1.30", strict=True)


@pytest.mark.parametrize(
    ("name", "chips", "hosts", "accelerator"),
    [
        ("v5e:2x2", 4, 1, "v5litepod-4"),
        ("v5e:2x4", 8, 1, "v5litepod-8"),
        ("v5e:16x16", 256, 64, "v5litepod-256"),
        ("v5p:2x2x1", 4, 1, "v5p-8"),
        ("v5p:4x4x8", 128, 32, "v5p-256"),
        ("v6e:4x4", 16, 4, "v6e-16"),
        ("tpu7x:4x4x4", 64, 16, None),
    ],
)
def test_slices(name, chips, hosts, accelerator):
    found = tpu.parse(name)
    assert (found.chips, found.hosts) == (chips, hosts)
    if accelerator is None:
        with pytest.raises(UserError, match="launch.gke"):
            _ = found.accelerator_type
    else:
        assert found.accelerator_type == accelerator


@pytest.mark.parametrize(
    "name", ["v5e", "v5e:", "v5e:4x4x4", "v5p:4x4", "v9:2x2", "v5e:0x4", "v6e:3x5"]
)
def test_names_that_are_no_slices(name):
    with pytest.raises(UserError, match=f"--slice {name}"):
        tpu.parse(name)


def test_mistakes_are_one_line(capsys):
    assert "all pods share /runs" in fails(gke, [*HERE, *GKE, *NFS], capsys)
    assert "all hosts share /runs" in fails(tpu_vm, [*HERE, *TPU_VM], capsys)
    assert "--nfs nowhere" in fails(gke, [*ON_SHARE, *GKE, "--nfs", "nowhere"], capsys)


def test_names_of_runs_suit_clusters():
    assert name_of_run("/runs/My run_2 (b)!") == "mmjax-my-run-2-b"
    assert len(name_of_run("x" * 90)) == 40
