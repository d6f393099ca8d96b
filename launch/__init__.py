"""Starting ``mmjax train`` on one machine, SLURM, TPU VMs and GKE: ``python -m launch.slurm ...``.

A run is the same everywhere: the same command in every process, a workdir that all of them see, and
a restart of that command goes on where the last checkpoint is.
"""
