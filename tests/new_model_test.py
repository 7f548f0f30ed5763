"""Adding a model takes one network file and one config, and no test code.

The repository is copied, a small model is added, and the tests of all configs
are run in the copy. A second model there is not reproducible, which the tests
must notice.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]

MODEL = '''"""A small network: each pixel alone, with the time and the label."""

import flax.linen as nn

from vgen_jax.nn import embeddings


class Pixelwise(nn.Module):
  """Maps each noisy pixel, its time and its label to a number."""

  width: int = 8
  num_classes: int = 0

  @nn.compact
  def __call__(self, video_bthwc, time_b, condition, *, train):
    embed = embeddings.TimeAndLabel(self.width, self.num_classes)
    bias_bthwd = embed(time_b, condition)[:, None, None, None]
    x_bthwd = nn.silu(nn.Dense(self.width)(video_bthwc) + bias_bthwd)
    return nn.Dense(video_bthwc.shape[-1])(x_bthwd)
'''

CONFIG = '''"""A run of a small network."""

from ml_collections import ConfigDict

SIZES = ('base', 'smoke')


def get_config(size: str = 'base') -> ConfigDict:
  """Returns the config of a run of `size` 'base' or 'smoke'."""
  pick = lambda **sizes: sizes[size]
  config = ConfigDict()
  config.clip_shape = (2, 16, 16, 3)
  config.batch_size = 8
  config.num_steps = pick(base=100, smoke=4)
  config.data = dict(name='synthetic.world.source.World')
  config.model = dict(
    name='families.diffusion.denoising.Diffusion',
    denoiser=dict(name='models.toy.Pixelwise'),
    solver=dict(name='families.diffusion.solvers.Euler', num_steps=2),
  )
  config.optim = dict(
    name='sgd', schedule=dict(name='constant', peak=1e-2)
  )
  config.log_every = 1
  config.sample_every = 4
  config.num_samples = 2
  return config
'''


def files(folder: pathlib.Path) -> dict[str, bytes]:
  return {
    str(path.relative_to(folder)): path.read_bytes()
    for path in folder.rglob('*.py')
  }


# Random numbers that do not depend on keys differ between processes.
NOISY_MODEL = (
  MODEL.replace('(x_bthwd)\n', '(x_bthwd) + NOISE\n')
  .replace('import flax.linen as nn', 'import os\n\nimport flax.linen as nn')
  .replace(
    'class Pixelwise',
    'NOISE = int.from_bytes(os.urandom(2), "big") / 65536\n\n\nclass Pixelwise',
  )
)
NOISY_CONFIG = CONFIG.replace('models.toy.', 'models.noisy.')
KILLED = 'test_a_killed_and_resumed_run_equals_an_uninterrupted_one'


def run_contract(copy: pathlib.Path, tests: str) -> str:
  """Returns the end of the output of `tests`, an expression of pytest."""
  done = subprocess.run(
    [
      sys.executable, '-m', 'pytest', 'tests/configs_test.py',
      'tests/layout_test.py', '-n', '0', '-m', 'slow or not slow',
      '-k', tests,
    ],
    cwd=copy,
    env={**os.environ, 'PYTHONPATH': str(copy)},
    capture_output=True,
    text=True,
    check=False,
  )  # fmt: skip
  return done.stdout[-3000:]


def test_a_model_is_one_file_and_one_config(tmp_path):
  copy = tmp_path / 'copy'
  skip = shutil.ignore_patterns('__pycache__', '.*')
  for name in ('vgen_jax', 'configs', 'tests', 'experiments'):
    shutil.copytree(ROOT / name, copy / name, ignore=skip)
  shutil.copy(ROOT / 'pyproject.toml', copy)
  before = files(copy)
  (copy / 'vgen_jax/models/toy.py').write_text(MODEL)
  (copy / 'configs/toy.py').write_text(CONFIG)
  (copy / 'vgen_jax/models/noisy.py').write_text(NOISY_MODEL)
  (copy / 'configs/noisy.py').write_text(NOISY_CONFIG)

  output = run_contract(copy, 'toy or repository or (noisy and killed)')
  failed = re.findall(r'^FAILED (.*?)(?: - .*)?$', output, re.M)
  assert failed == [f'tests/configs_test.py::{KILLED}[noisy]'], output
  assert re.search(r'\b1 failed, \d+ passed', output), output
  after = files(copy)
  assert {k for k in after if after[k] != before.get(k)} == {
    'vgen_jax/models/toy.py',
    'configs/toy.py',
    'vgen_jax/models/noisy.py',
    'configs/noisy.py',
  }
