"""What the tests of all commands share."""

import logging

import pytest


@pytest.fixture(autouse=True)
def _keep_logging():
  """The command sets up logging for itself; tests want theirs back."""
  names = ('vgen_jax', 'absl')
  old = {
    n: (logging.getLogger(n).level, logging.getLogger(n).handlers[:])
    for n in names
  }
  yield
  for name, (level, handlers) in old.items():
    logger = logging.getLogger(name)
    logger.setLevel(level)
    logger.handlers = handlers
    logger.propagate = True
