"""Child processes that end when their parent does, however that happens.

A process that is killed with SIGKILL cannot end its children. They would keep
their memory, wait forever, and prevent shared memory from being released.
"""

import multiprocessing
from multiprocessing import connection
from multiprocessing import shared_memory
import os
import threading


def follow_parent(*args: object) -> None:
  """Ends this process as soon as the process that started it has ended.

  Call it in a process that `multiprocessing` has started; elsewhere it does
  nothing. Shared memory is then released by the resource tracker of Python,
  which waits for the last process that uses it. As it only knows registered
  blocks, the process does not end between creating and registering one.

  Args:
    *args: Not used; a worker of Grain is given its number and their count.
  """
  del args
  parent = multiprocessing.parent_process()
  if parent is None:
    return
  lock = threading.Lock()
  create = shared_memory.SharedMemory.__init__

  def create_locked(self, *args, **kwargs):
    with lock:
      create(self, *args, **kwargs)  # Also registers the block.

  shared_memory.SharedMemory.__init__ = create_locked
  args = (parent.sentinel, lock)
  threading.Thread(target=_wait, args=args, daemon=True).start()


def _wait(sentinel: int, lock: threading.Lock) -> None:
  connection.wait([sentinel])
  with lock:
    os._exit(1)  # Not `sys.exit`, which would only end this thread.
