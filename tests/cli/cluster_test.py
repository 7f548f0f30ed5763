"""Tests of cli/cluster.py."""

import pytest

from vgen_jax.cli import cluster


@pytest.mark.parametrize(
  ('environment', 'expected'),
  [
    ({}, False),
    ({'SLURM_JOB_ID': '1', 'SLURM_NTASKS': '4'}, False),  # Not within srun.
    ({'SLURM_STEP_NUM_TASKS': '4'}, True),
    ({'SLURM_STEP_NUM_TASKS': '1'}, False),
    ({'OMPI_COMM_WORLD_SIZE': '2'}, True),
    ({'TPU_WORKER_HOSTNAMES': 'localhost'}, False),
    ({'TPU_WORKER_HOSTNAMES': 'a,b'}, True),
  ],
)
def test_jobs_of_several_processes_are_recognised(environment, expected):
  assert cluster.has_several_processes(environment) == expected
