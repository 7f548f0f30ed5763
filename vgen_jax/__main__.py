"""Makes `python -m vgen_jax` the same as the command `vgen`."""

import sys

from vgen_jax.cli import main

if __name__ == '__main__':
  sys.exit(main.run_as_module())
