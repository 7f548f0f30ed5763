"""Tests of mocogan_changes.py."""

import pathlib

from vgen_jax.ablation import sweep
from vgen_jax.config import loading as config_lib
from vgen_jax.config import python_files

ROOT = pathlib.Path(__file__).parents[4]
FILE = python_files.run(
  str(ROOT / 'experiments/zoo/adversarial/mocogan_changes.py')
)


def test_each_run_has_one_change_of_the_released_code_or_all():
  schedule = 'optim.schedule'
  base = config_lib.load(FILE['BASE'])
  released = config_lib.load('mocogan_world:paper')
  changed = []
  for entry in FILE['SWEEP']:
    config = config_lib.replace(base, entry)
    assert config.optim.schedule.name == 'constant'
    assert config.optim.schedule.peak == entry.get(f'{schedule}.peak', 1e-3)
    paths = [k for k in entry if k not in ('num_steps', 'seed', schedule)]
    for path in paths:
      old, new, value = base, config, released
      for key in path.split('.'):
        old, new = old.get(key), new[key]
        value = value.get(key) if key != 'kernel_init' else 'dcgan'
      assert new == value != old, path
    changed.append(len(paths))
  assert changed == [0, 2, 1, 3, 1, 7]
  arms = {sweep.arm(entry, FILE['ROWS']) for entry in FILE['SWEEP']}
  assert len(arms) == 6
