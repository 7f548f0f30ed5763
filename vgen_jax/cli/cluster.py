"""Flags and start-up of distributed training."""

import argparse
import os


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the flags that initialise `jax.distributed`."""
  group = parser.add_argument_group('distributed training')
  group.add_argument(
    '--distributed',
    choices=('auto', 'on', 'off'),
    default='auto',
    help='Initialise jax.distributed; auto does so within srun, mpirun and on'
    ' TPU pods.',
  )
  group.add_argument(
    '--coordinator',
    default=None,
    metavar='HOST:PORT',
    help='Address of process 0 (default: found by JAX).',
  )
  group.add_argument(
    '--num_processes',
    type=int,
    default=None,
    help='Number of processes (default: found by JAX).',
  )
  group.add_argument(
    '--process_id',
    type=int,
    default=None,
    help='Index of this process, starting at 0 (default: found by JAX).',
  )


def join(args: argparse.Namespace) -> None:
  """Initialises `jax.distributed` if the flags or the environment ask for it.

  Raises:
    ValueError: If --coordinator is given without the other two flags.
  """
  if args.coordinator:
    if args.num_processes is None or args.process_id is None:
      raise ValueError(
        f'--coordinator is {args.coordinator}; it requires --num_processes and'
        ' --process_id.'
      )
    import jax

    jax.distributed.initialize(
      args.coordinator, args.num_processes, args.process_id
    )
  elif args.distributed == 'on' or (
    args.distributed == 'auto' and has_several_processes()
  ):
    import jax

    jax.distributed.initialize()


def has_several_processes(environment: dict[str, str] | None = None) -> bool:
  """Returns whether the environment is that of a job of several processes."""
  env = os.environ if environment is None else environment
  # Tasks of srun have a STEP variable; a shell in an allocation does not.
  counts = ('SLURM_STEP_NUM_TASKS', 'OMPI_COMM_WORLD_SIZE')
  if any(
    env.get(name, '1').isdigit() and int(env.get(name, '1')) > 1
    for name in counts
  ):
    return True
  hosts = env.get('TPU_WORKER_HOSTNAMES', '')
  return ',' in hosts or 'MEGASCALE_COORDINATOR_ADDRESS' in env
