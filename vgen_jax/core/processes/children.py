"""Child processes that end when their parent does, however that happens.

A process that is killed with SIGKILL cannot end its children. They would keep
their memory, wait forever, and prevent shared memory from being released.
"""

import multiprocessing
from multiprocessing import connection
import os
import threading


def follow_parent(*args: object) -> None:
  """Ends this process as soon as the process that started it has ended.

  Call it in a process that `multiprocessing` has started; elsewhere it does
  nothing. Shared memory is then released by the resource tracker of Python,
  which waits for the last process that uses it.

  Args:
    *args: Not used; a worker of Grain is given its number and their count.
  """
  del args
  parent = multiprocessing.parent_process()
  if parent is not None:
    wait = threading.Thread(target=_wait, args=(parent.sentinel,), daemon=True)
    wait.start()


def _wait(sentinel: int) -> None:
  connection.wait([sentinel])
  os._exit(1)  # Not `sys.exit`, which would only end this thread.
