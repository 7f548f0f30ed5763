"""Python files that users write: configs and experiments."""

import runpy
import traceback
from typing import Any


def run(path: str) -> dict[str, Any]:
  """Runs a Python file, and returns its global names.

  Raises:
    ValueError: If the file is not Python, or an error is raised while it runs;
      the message names the file and the line.
  """
  try:
    return runpy.run_path(path)
  except Exception as error:
    raise ValueError(described(path, error)) from error


def described(path: str, error: Exception) -> str:
  """Returns the message of an error, with the file and line that raised it.

  Args:
    path: File, as it was given to `run`.
    error: Error that was raised by the file or by one of its functions.
  """
  if isinstance(error, SyntaxError):
    line, text = error.lineno, error.msg
  else:
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == path]
    line, text = (lines[-1] if lines else None), str(error)
  where = f'{path}, line {line}' if line else path
  return f'{where}: {type(error).__name__}: {text}'
