"""Joins the other processes of a pod or a GPU cluster, if there are any."""

import argparse
import os

import jax


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the flags that say how to find the others."""
  group = parser.add_argument_group('many processes')
  group.add_argument(
    '--distributed',
    choices=('auto', 'on', 'off'),
    default='auto',
    help='Whether to join others; auto does so within srun, mpirun and GKE.',
  )
  group.add_argument(
    '--coordinator', default=None, help='host:port of process 0.'
  )
  group.add_argument(
    '--num_processes', type=int, default=None, help='How many there are.'
  )
  group.add_argument(
    '--process_id', type=int, default=None, help='Which this is, from 0.'
  )


def join(args: argparse.Namespace) -> None:
  """Calls `jax.distributed.initialize` when a cluster is seen or asked for."""
  if args.coordinator:
    if args.num_processes is None or args.process_id is None:
      raise ValueError(
        f'--coordinator is {args.coordinator}; it needs --num_processes and'
        ' --process_id too.'
      )
    jax.distributed.initialize(
      args.coordinator, args.num_processes, args.process_id
    )
  elif args.distributed == 'on' or (args.distributed == 'auto' and seen()):
    jax.distributed.initialize()


def seen(environment: dict[str, str] | None = None) -> bool:
  """Whether the environment speaks of more processes than this one."""
  env = os.environ if environment is None else environment
  # SLURM_STEP_...: a shell in an allocation is no task of it, srun's are.
  counts = ('SLURM_STEP_NUM_TASKS', 'OMPI_COMM_WORLD_SIZE')
  if any(
    env.get(name, '1').isdigit() and int(env.get(name, '1')) > 1
    for name in counts
  ):
    return True
  hosts = env.get('TPU_WORKER_HOSTNAMES', '')
  return ',' in hosts or 'MEGASCALE_COORDINATOR_ADDRESS' in env
