"""A JobSet on GKE: one Job for each TPU slice, admitted by Kueue when there is room for all.

    python -m launch.gke --image REGISTRY/mmjax:1 --queue team --slice v5p:4x4x8 --slices 2 \
        --nfs 10.0.0.2:/share --config configs/quickstart.py --workdir /runs/quickstart \
        --config.mesh.slices=2

The image holds this repository, installed, with its root as the working directory; the workdir is
on an NFS share, mounted at ``/runs``. Where a pod fails or its node is taken away, all are started
again and go on from the last checkpoint, except after a mistake of the user's (exit code 2).
``--queue-for-slices N`` adds Kueue's own objects for a queue that holds N such slices.
"""

import argparse
import pathlib
import sys
from typing import Any

import yaml

from launch import tpu
from launch.common import call, launch, name_of_run, positive, train_command
from mmjax.errors import MISTAKE, UserError
from mmjax.sharding.peers import LOST

MOUNT = "/runs"
_POOL = "cloud.google.com/gke-nodepool"
_CHIP = "google.com/tpu"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of this launcher."""
    add = parser.add_argument
    add("--name", help="of the JobSet; by default after the workdir")
    add("--namespace", default="default")
    add("--image", required=True, help="container image that holds mmjax")
    add("--queue", required=True, help="Kueue's LocalQueue")
    add("--queue-for-slices", type=positive, metavar="N",
        help="also make that queue, with room for N slices of this kind")  # fmt: skip
    add("--slice", required=True, metavar="KIND:TOPOLOGY", help="such as v5p:4x4x8")
    add("--slices", type=positive, default=1, metavar="N", help="how many of them")
    add("--spot", action="store_true", help="on nodes that may be taken away")
    add("--nfs", required=True, metavar="SERVER:/SHARE", help=f"mounted at {MOUNT}")
    add("--grace", type=positive, default=120, metavar="SECONDS",
        help="between the notice to stop and the end (default 120)")  # fmt: skip
    add("--restarts", type=int, default=20, metavar="R", help="of the whole set (default 20)")


def run(options: argparse.Namespace) -> int:
    """Hands the manifests to kubectl, or prints them."""
    text = yaml.safe_dump_all(manifests(options), sort_keys=False, width=100)
    if options.dry_run:
        print(text, end="")
    else:
        print(call(["kubectl", "apply", "-f", "-"], text=text), end="")
    return 0


def manifests(options: argparse.Namespace) -> list[dict[str, Any]]:
    """The JobSet, after the objects of its queue where they are wanted."""
    wanted = tpu.parse(options.slice)
    queue = [] if options.queue_for_slices is None else queue_objects(options, wanted)
    return [*queue, job_set(options, wanted)]


def job_set(options: argparse.Namespace, wanted: tpu.Slice) -> dict[str, Any]:
    """One Job a slice, all of them started again when one fails."""
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": {
            "name": options.name or name_of_run(options.workdir),
            "namespace": options.namespace,
            "labels": {"kueue.x-k8s.io/queue-name": options.queue},
            # A slice's pods share a node pool, which is the slice, with nobody else.
            "annotations": {"alpha.jobset.sigs.k8s.io/exclusive-topology": _POOL},
        },
        "spec": {
            "suspend": True,  # until Kueue admits it
            "failurePolicy": {
                "maxRestarts": options.restarts,
                "rules": [
                    {
                        "name": "mistake",
                        "action": "FailJobSet",
                        "onJobFailureReasons": ["PodFailurePolicy"],
                    }
                ],
            },
            "replicatedJobs": [
                {
                    "name": "slice",
                    "replicas": options.slices,
                    "template": {"spec": job(options, wanted)},
                }
            ],
        },
    }


def job(options: argparse.Namespace, wanted: tpu.Slice) -> dict[str, Any]:
    """The Job of one slice: a pod on each of its hosts."""
    mistake = {"containerName": "train", "operator": "In", "values": [MISTAKE]}
    return {
        "parallelism": wanted.hosts,
        "completions": wanted.hosts,
        "completionMode": "Indexed",
        "backoffLimit": 0,  # one pod alone cannot go on: the set starts again
        "podFailurePolicy": {"rules": [{"action": "FailJob", "onExitCodes": mistake}]},
        "template": {"spec": pod(options, wanted)},
    }


def pod(options: argparse.Namespace, wanted: tpu.Slice) -> dict[str, Any]:
    """One host's pod, which has all of its chips."""
    server, colon, share = options.nfs.partition(":")
    if not colon or not share.startswith("/"):
        raise UserError(f"--nfs {options.nfs}: expected SERVER:/SHARE")
    if not pathlib.PurePosixPath(options.workdir).is_relative_to(MOUNT):
        raise UserError(f"--workdir {options.workdir}: all pods share {MOUNT}; take a folder in it")
    chips = {_CHIP: str(wanted.chips // wanted.hosts)}
    command = train_command(options, "--stopped-code", str(LOST))
    spec = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": options.grace,
        "nodeSelector": _node_labels(options, wanted),
        "containers": [
            {
                "name": "train",
                "image": options.image,
                # Kubernetes expands $(NAME) in commands, and makes one $ of two.
                "command": [argument.replace("$", "$$") for argument in command],
                "ports": [{"containerPort": 8482}, {"containerPort": 8471}],
                "resources": {"requests": chips, "limits": dict(chips)},
                "volumeMounts": [{"name": "runs", "mountPath": MOUNT}],
            }
        ],
        "volumes": [{"name": "runs", "nfs": {"server": server, "path": share}}],
    }
    if options.spot:
        spot = {"key": "cloud.google.com/gke-spot", "operator": "Equal", "value": "true"}
        spec["tolerations"] = [{**spot, "effect": "NoSchedule"}]
    return spec


def queue_objects(options: argparse.Namespace, wanted: tpu.Slice) -> list[dict[str, Any]]:
    """Kueue's flavour of such nodes, a cluster queue that counts their chips, and the queue."""
    kueue = {"apiVersion": "kueue.x-k8s.io/v1beta2"}
    flavour = f"{options.queue}-{options.slice.replace(':', '-')}"
    quota = {"name": _CHIP, "nominalQuota": options.queue_for_slices * wanted.chips}
    group = {
        "coveredResources": [_CHIP],
        "flavors": [{"name": flavour, "resources": [quota]}],
    }
    return [
        {
            **kueue,
            "kind": "ResourceFlavor",
            "metadata": {"name": flavour},
            "spec": {"nodeLabels": _node_labels(options, wanted)},
        },
        {
            **kueue,
            "kind": "ClusterQueue",
            "metadata": {"name": options.queue},
            "spec": {"namespaceSelector": {}, "resourceGroups": [group]},
        },
        {
            **kueue,
            "kind": "LocalQueue",
            "metadata": {"name": options.queue, "namespace": options.namespace},
            "spec": {"clusterQueue": options.queue},
        },
    ]


def _node_labels(options: argparse.Namespace, wanted: tpu.Slice) -> dict[str, str]:
    labels = {
        "cloud.google.com/gke-tpu-accelerator": wanted.generation.selector,
        "cloud.google.com/gke-tpu-topology": wanted.topology,
    }
    return labels | ({"cloud.google.com/gke-spot": "true"} if options.spot else {})


if __name__ == "__main__":
    sys.exit(launch("launch.gke", __doc__.splitlines()[0], add_arguments, run))
