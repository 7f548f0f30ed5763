"""What all tests share: eight CPU devices, and JAX at its strictest."""

import pathlib

import jax
import numpy as np
import pytest

from vgen_jax.data.files import codecs
from vgen_jax.training import compilation

_ROOT = pathlib.Path(__file__).parents[1]

jax.config.update('jax_platforms', 'cpu')
jax.config.update('jax_num_cpu_devices', 8)
# Adding [b] to [b, 1] is a bug more often than a wish: ranks must agree.
jax.config.update('jax_numpy_rank_promotion', 'raise')
# Tests compile much and compute little: compile once, over all runs.
jax.config.update('jax_compilation_cache_dir', str(_ROOT / '.cache/jax'))
jax.config.update('jax_persistent_cache_min_compile_time_secs', 0)
# Most of a test's time is compiling; steps are few and small.
jax.config.update('jax_disable_most_optimizations', True)


_OF_STEPS = ('optim', 'num_steps', 'ema', 'accumulate', 'guard')
_STEPS = {}  # Compiled ones, by all that they are made of.


@pytest.fixture
def compiles_once(monkeypatch) -> None:
  """Lets runs of one process share their steps, where these are the same.

  Not for tests that change what a step computes by other means than a config.
  """
  compile_step = compilation.compile_step

  def shared(setup):
    made_of = (
      setup.model, setup.mesh, setup.batch, setup.state_shapes(),
      *(getattr(setup.settings, field) for field in _OF_STEPS),
    )  # fmt: skip
    key = repr(made_of)
    if key not in _STEPS:
      _STEPS[key] = compile_step(setup)
    return _STEPS[key]

  monkeypatch.setattr(compilation, 'compile_step', shared)


@pytest.fixture(scope='session')
def clips(tmp_path_factory) -> pathlib.Path:
  """A folder of small videos: two classes, three films of each."""
  folder = tmp_path_factory.mktemp('clips')
  rng = np.random.default_rng(0)
  for label in ('left', 'right'):
    (folder / label).mkdir()
    for i in range(3):
      first, last = rng.integers(0, 255, (2, 24, 32, 3))
      t = np.linspace(0, 1, 20)[:, None, None, None]
      video_thwc = np.uint8(first * (1 - t) + last * t)
      codecs.write_mp4(folder / label / f'{i}.mp4', video_thwc, 10)
  return folder
