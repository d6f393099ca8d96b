"""Fields of JobSet and Kueue objects, for which kubernetes-validate has no schema.

Written from their API references (jobset.x-k8s.io v1alpha2, kueue.x-k8s.io v1beta2): what a field
holds, and whether it must be there. An unknown field is a mistake, as it is to ``kubectl`` itself.
"""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Must:
    """A field that has to be there."""

    kind: Any


@dataclasses.dataclass(frozen=True)
class OneOf:
    """A string out of a few."""

    values: tuple[str, ...]


ANY = object()  # checked elsewhere, or free
LABELS = {str: str}
QUEUE = "kueue.x-k8s.io/queue-name"

JOB_SET = {
    "apiVersion": Must(OneOf(("jobset.x-k8s.io/v1alpha2",))),
    "kind": Must(OneOf(("JobSet",))),
    "metadata": Must(
        {
            "name": Must(str),
            "namespace": str,
            "labels": Must({QUEUE: Must(str)}),
            "annotations": LABELS,
        }
    ),
    "spec": Must(
        {
            "suspend": bool,
            "ttlSecondsAfterFinished": int,
            "network": {"enableDNSHostnames": bool, "subdomain": str},
            "failurePolicy": {
                "maxRestarts": int,
                "restartStrategy": OneOf(("Recreate", "BlockingRecreate")),
                "rules": [
                    {
                        "name": Must(str),
                        "action": Must(
                            OneOf(
                                (
                                    "FailJobSet",
                                    "RestartJobSet",
                                    "RestartJobSetAndIgnoreMaxRestarts",
                                )
                            )
                        ),
                        "onJobFailureReasons": [
                            OneOf(
                                (
                                    "BackoffLimitExceeded",
                                    "DeadlineExceeded",
                                    "FailedIndexes",
                                    "MaxFailedIndexesExceeded",
                                    "PodFailurePolicy",
                                )
                            )
                        ],
                        "targetReplicatedJobs": [str],
                    }
                ],
            },
            "replicatedJobs": Must(
                [
                    {
                        "name": Must(str),
                        "replicas": int,
                        "template": Must({"metadata": ANY, "spec": Must(ANY)}),
                    }
                ]
            ),
        }
    ),
}


def _kueue(kind: str, spec: dict, *, namespaced: bool = False) -> dict:
    metadata = {"name": Must(str)} | ({"namespace": Must(str)} if namespaced else {})
    return {
        "apiVersion": Must(OneOf(("kueue.x-k8s.io/v1beta2",))),
        "kind": Must(OneOf((kind,))),
        "metadata": Must(metadata),
        "spec": Must(spec),
    }


SCHEMAS = {
    "JobSet": JOB_SET,
    "ResourceFlavor": _kueue("ResourceFlavor", {"nodeLabels": LABELS}),
    "LocalQueue": _kueue("LocalQueue", {"clusterQueue": Must(str)}, namespaced=True),
    "ClusterQueue": _kueue(
        "ClusterQueue",
        {
            "namespaceSelector": {"matchLabels": LABELS, "matchExpressions": ANY},
            "resourceGroups": [
                {
                    "coveredResources": Must([str]),
                    "flavors": Must(
                        [
                            {
                                "name": Must(str),
                                "resources": Must([{"name": Must(str), "nominalQuota": Must(int)}]),
                            }
                        ]
                    ),
                }
            ],
        },
    ),
}


def problems(document: dict) -> list[str]:
    """What is wrong with a JobSet or an object of Kueue, a line for each field."""
    return sorted(_wrong(document, SCHEMAS[document["kind"]], ""))


def _wrong(value: Any, schema: Any, path: str):
    if isinstance(schema, Must):
        yield from _wrong(value, schema.kind, path)
    elif isinstance(schema, OneOf):
        if value not in schema.values:
            yield f"{path}: {value!r} is not {' or '.join(map(repr, schema.values))}"
    elif isinstance(schema, list):
        if not isinstance(value, list):
            yield f"{path}: {value!r} is no list"
            return
        for index, item in enumerate(value):
            yield from _wrong(item, schema[0], f"{path}[{index}]")
    elif isinstance(schema, dict):
        yield from _wrong_fields(value, schema, path)
    elif schema is not ANY and type(value) is not schema:
        yield f"{path}: {value!r} is no {schema.__name__}"


def _wrong_fields(value: Any, schema: dict, path: str):
    if not isinstance(value, dict):
        yield f"{path}: {value!r} is no mapping"
        return
    prefix = f"{path}." if path else ""
    for key, field in value.items():
        if str in schema:
            yield from _wrong(field, schema[str], f"{prefix}{key}")
        elif key in schema:
            yield from _wrong(field, schema[key], f"{prefix}{key}")
        else:
            yield f"{prefix}{key}: no such field"
    for key, field in schema.items():
        if isinstance(field, Must) and key not in value:
            yield f"{prefix}{key}: missing"
