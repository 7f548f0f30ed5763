"""Flags and start-up of distributed training."""

import argparse
import os
import sys
from typing import Any

from vgen_jax.core.processes import signals

_PEERS: list[Any] = []  # The watch over other processes; one or none.
# Flags that may differ between processes. Those of `overrides` are compared as
# parts of the config.
_OF_PROCESS = (
  'coordinator', 'debug', 'distributed', 'json', 'num_processes',
  'overrides', 'process_id',
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the flags that initialize `jax.distributed`."""
  group = parser.add_argument_group('distributed training')
  group.add_argument(
    '--distributed',
    choices=('auto', 'on', 'off'),
    default='auto',
    help='Initialize jax.distributed; auto does so within srun, mpirun and on'
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


def join(args: argparse.Namespace, *, polls: bool = False) -> None:
  """Initializes `jax.distributed` if the flags or the environment ask for it.

  Then the processes compare their flags.

  Args:
    args: Flags of the command.
    polls: Whether the command regularly checks for signals
      (runtime/preemption.py). If not, SIGTERM ends the process immediately,
      also in a pod.

  Raises:
    ValueError: If --coordinator is given without the other two flags, or the
      processes were started with different flags.
  """
  if args.coordinator:
    if args.num_processes is None or args.process_id is None:
      raise ValueError(
        f'--coordinator is {args.coordinator}; it requires --num_processes and'
        ' --process_id.'
      )
    _initialize(args.coordinator, args.num_processes, args.process_id)
  elif args.distributed == 'on' or (
    args.distributed == 'auto' and has_several_processes()
  ):
    _initialize()
  else:
    return
  if not polls:  # The service of JAX has replaced the handler.
    signals.install()
  from vgen_jax.runtime.pod import agreement

  agreement.check(_flags(args))


def _flags(args: argparse.Namespace) -> dict[str, Any]:
  """Returns the flags that must be the same in all processes."""
  return {f'--{k}': x for k, x in vars(args).items() if k not in _OF_PROCESS}


def finish() -> None:
  """Stops monitoring the other processes, after the work is done."""
  if _PEERS:
    _PEERS.pop().finish()


def failed(status: int) -> int:
  """Returns the exit status of a command that has not done its work.

  In a pod, the process notifies the others and exits here, because JAX would
  wait for them.
  """
  if _PEERS:
    _PEERS.pop().fail()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
  return status


def is_watching() -> bool:
  """Returns whether this process monitors the other processes of a pod."""
  return bool(_PEERS)


def wait_for_verdict(error: BaseException) -> None:
  """Waits for the report of a lost process if that may have caused an error."""
  cause: BaseException | None = error
  while _PEERS and cause is not None:
    if type(cause).__name__ in ('JaxRuntimeError', 'XlaRuntimeError'):
      _PEERS[0].wait_for_verdict()
      return
    cause = cause.__cause__ or cause.__context__


def _initialize(*address: Any) -> None:
  import jax

  from vgen_jax.runtime.pod import peers

  jax.distributed.initialize(*address)
  client = distributed_client()
  if jax.process_count() > 1 and client is not None:
    _PEERS.append(peers.Peers(client, jax.process_index(), jax.process_count()))
    _PEERS[0].start()


def distributed_client() -> Any:
  """Returns the client of JAX's key-value store; None if JAX has moved it."""
  try:
    from jax._src import distributed

    return distributed.global_state.client
  except (ImportError, AttributeError):
    return None


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
