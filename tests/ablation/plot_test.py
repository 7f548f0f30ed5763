"""Tests of ablation/plot.py: curves, and a visible line for each arm."""

import numpy as np
from PIL import Image
import pytest

from vgen_jax.ablation import plot
from vgen_jax.ablation import sweep
from vgen_jax.runtime import writers

_ENTRIES = sweep.product(
  sweep.param('model.x', 'a', 'b'), sweep.param('seed', 0, 1)
)


@pytest.fixture
def workdirs(tmp_path):
  """Returns four workdirs; the run of b and seed 1 has diverged."""
  folders = [str(tmp_path / f'{i:03d}') for i in range(4)]
  for i, folder in enumerate(folders):
    with writers.Writer(folder, 0, tensorboard=False) as writer:
      for step in (10, 20):
        writer.write_metrics(step, {'loss': np.nan if i == 3 else i + 1 / step})
  return folders


def test_curves_have_the_finite_values_of_each_arm(workdirs):
  got = plot.curves(workdirs, _ENTRIES, rows='model.x', value='loss')
  assert got == {
    ('a',): {10: [0.1, 1.1], 20: [0.05, 1.05]},
    ('b',): {10: [2.1], 20: [2.05]},
  }


def _colors(path) -> set[str]:
  """Returns which of matplotlib's colours C0, C1, C2 are in an image."""
  image = np.asarray(Image.open(path).convert('RGB')).reshape(-1, 3).tolist()
  colors = set(map(tuple, image))
  rgb = {'C0': (31, 119, 180), 'C1': (255, 127, 14), 'C2': (44, 160, 44)}
  return {name for name, color in rgb.items() if color in colors}


def test_each_arm_is_visible(workdirs, tmp_path):
  args = {'rows': 'model.x', 'value': 'loss'}
  plot.save(tmp_path / 'both.png', workdirs, _ENTRIES, **args)
  assert _colors(tmp_path / 'both.png') == {'C0', 'C1'}
  plot.save(tmp_path / 'one.png', workdirs[:2], _ENTRIES[:2], **args)
  assert _colors(tmp_path / 'one.png') == {'C0'}


def test_a_metric_without_values_is_reported(workdirs, tmp_path):
  with pytest.raises(ValueError, match=r"None of 4 runs has .* 'lost'"):
    plot.save(
      tmp_path / 'x.png', workdirs, _ENTRIES, rows='model.x', value='lost'
    )
