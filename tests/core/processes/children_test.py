"""Tests that workers end with their parent and release shared memory."""

import os
import pathlib
import signal
import subprocess
import sys
import time
import uuid

import pytest

ROOT = pathlib.Path(__file__).parents[3]
# Names of shared memory begin with a word of the test, as other tests may use
# shared memory at the same time. Spawned processes execute these lines, too.
NAMES = """
import multiprocessing, os, time
from multiprocessing import shared_memory
shared_memory._SHM_NAME_PREFIX = os.environ['PREFIX_OF_SHARED_MEMORY']
"""
PARENT = """
from vgen_jax.core.processes import children


def child(ready):
  children.follow_parent()
  block = shared_memory.SharedMemory(create=True, size=100)
  ready.put(block.name)
  time.sleep(1000)


if __name__ == '__main__':
  context = multiprocessing.get_context('spawn')
  ready = context.Queue()
  processes = [context.Process(target=child, args=(ready,)) for _ in range(2)]
  for process in processes:
    process.start()
  print(*[process.pid for process in processes], flush=True)
  for _ in processes:
    ready.get()
  time.sleep(1000)
"""
# The parent is killed when children have created memory, not registered it.
LATE = """
from multiprocessing import resource_tracker
register = resource_tracker.register


def register_late(name, kind):
  time.sleep(2)
  register(name, kind)


if __name__ != '__main__':
  resource_tracker.register = register_late
"""
PIPELINE = """
import jax
jax.config.update('jax_platforms', 'cpu')
from vgen_jax.data import pipeline
from vgen_jax.synthetic.world import source


if __name__ == '__main__':
  world = source.World((4, 8, 8, 3), num_clips=64)
  reader = pipeline.Reader(num_workers=2)
  with pipeline.batches(world, batch_size=4, seed=0, reader=reader) as batches:
    next(batches)
    print(*[x.pid for x in multiprocessing.active_children()], flush=True)
    time.sleep(1000)
"""


def blocks(prefix: str) -> list[str]:
  """Returns the names of shared memory that begin with `prefix`."""
  return [name for name in os.listdir('/dev/shm') if name.startswith(prefix)]


def is_alive(pid: int) -> bool:
  """Returns whether a process has not ended."""
  try:
    stat = pathlib.Path(f'/proc/{pid}/stat').read_text()
  except OSError:
    return False
  return stat.rpartition(')')[2].split()[0] not in ('Z', 'X')


def waits_for(condition) -> bool:
  """Returns whether a condition holds within a minute."""
  for _ in range(600):
    if condition():
      return True
    time.sleep(0.1)
  return False


@pytest.mark.skipif(
  not (os.path.isdir('/proc/self') and os.path.isdir('/dev/shm')),
  reason='needs /proc and /dev/shm',
)
@pytest.mark.parametrize(
  'text', [PARENT, LATE + PARENT, PIPELINE], ids=['own', 'late', 'pipeline']
)
def test_workers_end_with_a_killed_parent(tmp_path, text):
  script = tmp_path / 'parent.py'
  script.write_text(NAMES + text)
  prefix = f'{uuid.uuid4().hex[:8]}_'
  parent = subprocess.Popen(
    [sys.executable, script],
    env={
      **os.environ,
      'PYTHONPATH': str(ROOT),
      'PREFIX_OF_SHARED_MEMORY': f'/{prefix}',
    },
    stdout=subprocess.PIPE,
    text=True,
  )
  pids = []
  try:
    pids = [int(word) for word in parent.stdout.readline().split()]
    assert len(pids) == 2
    assert all(map(is_alive, pids))
    assert waits_for(lambda: len(blocks(prefix)) >= 2)
    parent.kill()
    parent.wait()
    assert waits_for(lambda: not any(map(is_alive, pids)))
    assert waits_for(lambda: not blocks(prefix))
  finally:
    # The children have the other end of the pipe, which is not read to its end.
    parent.stdout.close()
    parent.kill()
    parent.wait()
    for pid in filter(is_alive, pids):
      os.kill(pid, signal.SIGKILL)
