"""Tests that workers end with their parent and release shared memory."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).parents[3]
PARENT = """
import multiprocessing, sys, time
from multiprocessing import shared_memory
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
  print(*[process.pid for process in processes])
  print(*[ready.get().strip('/') for _ in processes], flush=True)
  time.sleep(1000)
"""
PIPELINE = """
import multiprocessing, time
import jax
jax.config.update('jax_platforms', 'cpu')
from vgen_jax.data import pipeline
from vgen_jax.synthetic.world import source


if __name__ == '__main__':
  world = source.World((4, 8, 8, 3), num_clips=64)
  reader = pipeline.Reader(num_workers=2)
  with pipeline.batches(world, batch_size=4, seed=0, reader=reader) as batches:
    next(batches)
    print(*[x.pid for x in multiprocessing.active_children()])
    print(flush=True)
    time.sleep(1000)
"""


def blocks() -> set[str]:
  """Returns the names of shared memory that Python has created."""
  names = os.listdir('/dev/shm') if os.path.isdir('/dev/shm') else []
  return {name for name in names if name.startswith('psm_')}


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


@pytest.mark.skipif(not os.path.isdir('/proc/self'), reason='needs /proc')
@pytest.mark.parametrize('text', [PARENT, PIPELINE], ids=['own', 'pipeline'])
def test_workers_end_with_a_killed_parent(tmp_path, text):
  script = tmp_path / 'parent.py'
  script.write_text(text)
  before = blocks()
  parent = subprocess.Popen(
    [sys.executable, script],
    env={**os.environ, 'PYTHONPATH': str(ROOT)},
    stdout=subprocess.PIPE,
    text=True,
  )
  pids = [int(word) for word in parent.stdout.readline().split()]
  names = parent.stdout.readline().split()
  assert len(pids) == 2
  assert all(map(is_alive, pids))
  assert set(names) <= blocks()
  os.kill(parent.pid, signal.SIGKILL)
  parent.communicate()
  assert waits_for(lambda: not any(map(is_alive, pids)))
  # Other tests may use shared memory at the same time.
  mine = lambda: blocks().intersection(names) if names else blocks() - before
  assert waits_for(lambda: not mine())
