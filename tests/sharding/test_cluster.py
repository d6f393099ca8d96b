"""Which process of how many this is: from flags, SLURM's variables, or those of GKE."""

import pytest

from mmjax.errors import UserError
from mmjax.sharding.cluster import Cluster, find, first_host

SLURM = {
    "SLURM_JOB_ID": "5001",
    "SLURM_STEP_NUM_TASKS": "8",
    "SLURM_PROCID": "3",
    "SLURM_STEP_NODELIST": "tpu[003-006,9],login",
}
GKE = {"TPU_WORKER_HOSTNAMES": "set-0-0.set,set-0-1.set", "TPU_WORKER_ID": "1"}
SLICES = {
    "MEGASCALE_NUM_SLICES": "3",
    "MEGASCALE_SLICE_ID": "2",
    "MEGASCALE_COORDINATOR_ADDRESS": "first-0-0.set:8080",
}


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, None),
        ({**SLURM, "SLURM_STEP_NUM_TASKS": "1"}, None),
        # A batch script on its own has the variables of the job, and none of a step.
        ({"SLURM_JOB_ID": "5001", "SLURM_NTASKS": "8"}, None),
        (SLURM, Cluster(f"tpu003:{2**16 - 2**12 + 5001 % 2**12}", 8, 3)),
        ({"TPU_WORKER_HOSTNAMES": "localhost", "TPU_WORKER_ID": "0"}, None),
        (GKE, Cluster("set-0-0.set:8482", 2, 1)),
        (GKE | SLICES, Cluster("first-0-0.set:8482", 6, 5)),
    ],
)
def test_what_schedulers_leave_behind(variables, expected):
    assert find(variables) == expected


def test_flags_come_first():
    assert find(SLURM, "here:1", 2, 1) == Cluster("here:1", 2, 1)
    assert find(SLURM, "auto") == Cluster("auto", None, None)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("here:1", 2, None), "belong together"),
        ((None, 2, 0), "belong together"),
        (("here", 2, 0), "--coordinator here: expected HOST:PORT"),
        (("here:1", 2, 2), "--process 2: processes count from 0 to 1"),
    ],
)
def test_flags_that_make_no_sense(flags, message):
    with pytest.raises(UserError, match=message):
        find({}, *flags)


@pytest.mark.parametrize(
    ("nodes", "host"),
    [
        ("a", "a"),
        ("a,b", "a"),
        ("n[1-4]", "n1"),
        ("n[07,9]-x,m", "n07-x"),
        ("g-1-[10-12]", "g-1-10"),
    ],
)
def test_the_first_host_of_a_list(nodes, host):
    assert first_host(nodes) == host
