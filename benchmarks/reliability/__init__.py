"""Kills, requests to stop and damaged checkpoints, by the hundred: what is lost, and for how long.

A small run (two players, batch statistics, moving averages, evaluation, previews) is ended at
random moments and started again until it is done, and then compared with the run that was left
alone: every bit of the state, every row of the metrics, and the next batch.

    python -m benchmarks.reliability --kills 200 --stops 100 --damages 200 --work W

Every case goes to a file as it ends; the same command goes on from there.
"""
