"""Tests of the comparison of families at equal compute."""

import json

import pytest

from experiments.zoo import cpu_budgets
from experiments.zoo import equal_compute
from vgen_jax.config import loading
from vgen_jax.config import settings
from vgen_jax.training import schedules


class Trainer:
  """Trains nothing; a run costs 50 CPU-seconds and some for each step.

  Compilation costs another 200 CPU-seconds, unless the program is kept.
  """

  def __init__(self, **per_step: float):
    self.per_step = per_step
    self.calls = []
    self.programs = set()

  def __call__(self, config, workdir, overrides, keeps_programs=False) -> float:
    self.calls.append((config, workdir, dict(overrides)))
    loaded = loading.replace(loading.load(config), overrides)
    schedules.make(settings.read(loaded).optim['schedule'], loaded.num_steps)
    # Programs differ in the schedule, and in its length if it decays.
    schedule = loaded.optim.schedule
    length = 0 if schedule.name == 'constant' else loaded.num_steps
    program = config, repr(schedule), length
    compilation = 0 if program in self.programs else 200
    if keeps_programs:
      self.programs.add(program)
    per_step = self.per_step[config.split(':')[0]]
    return 50 + compilation + per_step * loaded.num_steps


@pytest.mark.parametrize(
  ('data', 'family'),
  [
    *(('demo', name) for name in equal_compute.FAMILIES),
    *(('slow', name) for name in equal_compute.GANS),
  ],
)
def test_all_configs_have_the_same_data(data, family):
  reference = loading.load('demo' if data == 'demo' else 'vgan_world:small')
  changes = equal_compute.OVERRIDES[data]
  for name in equal_compute.FAMILIES[family]:
    # As the command line reads them.
    texts = [f'{k}={v}' for k, v in changes.items()]
    texts = texts if family in equal_compute.GANS else []
    config = loading.replace(loading.load(name), loading.parse_overrides(texts))
    settings.read(config)
    assert config.clip_shape == reference.clip_shape
    common = {'meets_walls': True}, {'label': None}
    assert common[0] | config.data.to_dict() | common[1] == (
      common[0] | reference.data.to_dict() | common[1]
    )


@pytest.mark.parametrize('family', equal_compute.FAMILIES)
def test_the_runs_of_each_family_can_start(family, tmp_path):
  configs = [x.split(':')[0] for x in equal_compute.FAMILIES[family]]
  trainer = Trainer(**dict.fromkeys(configs, 0.1))
  workdirs, _ = equal_compute.train(family, 0, 100.0, 'demo', tmp_path, trainer)
  assert len(workdirs) == len(configs)
  assert len(trainer.calls) == 4 * len(configs)


def test_a_family_gets_steps_for_its_budget(tmp_path):
  trainer = Trainer(demo=0.5)
  workdirs, row = equal_compute.train(
    'patch U-Net', 3, 100.0, 'demo', tmp_path, trainer
  )
  assert row['steps'] == '200'  # Start and compilation are not counted.
  assert row['cpu_seconds'] == 250 + 0.5 * 200
  assert trainer.calls[-1][1] == workdirs[-1]
  assert trainer.calls[-1][2]['seed'] == 3


def test_a_tokenizer_gets_half_of_the_budget_and_is_frozen(tmp_path):
  trainer = Trainer(fsq_world=0.5, videogpt_world=0.25)
  workdirs, row = equal_compute.train(
    'VideoGPT', 0, 100.0, 'demo', tmp_path, trainer
  )
  assert row['steps'] == '100 + 200'
  assert row['cpu_seconds'] == 2 * 250 + 50 + 50
  tokenizers = [x for _, _, x in trainer.calls if 'frozen.autoencoder' not in x]
  priors = [x for _, _, x in trainer.calls if 'frozen.autoencoder' in x]
  assert len(tokenizers) == len(priors) == 4
  assert {x['frozen.autoencoder'] for x in priors} == {str(workdirs[0])}


def test_a_shared_tokenizer_is_trained_once_and_counted_twice(tmp_path):
  trainer = Trainer(fsq_world=0.5, videogpt_world=0.25, maskgit_world=0.5)
  _, one = equal_compute.train('VideoGPT', 0, 100.0, 'demo', tmp_path, trainer)
  _, two = equal_compute.train('MaskGIT', 0, 100.0, 'demo', tmp_path, trainer)
  _, other = equal_compute.train('MaskGIT', 1, 100.0, 'demo', tmp_path, trainer)
  names = [name for name, *_ in trainer.calls if name.startswith('fsq_world')]
  assert len(names) == 4 * 2  # Three short runs and one long run per seed.
  assert one == {'steps': '100 + 200', 'cpu_seconds': 500 + 100}
  assert two == other == {'steps': '100 + 100', 'cpu_seconds': 500 + 100}


@pytest.mark.parametrize(
  ('costs', 'budget', 'message'),
  [((9.0, 9.0), 100.0, 'must increase'), ((1.0, 501.0), 5.0, 'one step costs')],
)
def test_impossible_budgets_are_errors(costs, budget, message):
  with pytest.raises(ValueError, match=message):
    cpu_budgets.affordable_steps(budget, costs)


def test_the_table_starts_with_the_best_and_skips_torn_lines(tmp_path, capsys):
  rows = [
    {'family': 'A', 'seed': 0, 'validity_loose': 0.25, 'coverage': 0.5},
    {'family': 'B', 'seed': 0, 'validity_loose': 0.75},
  ]
  path = tmp_path / 'rows.jsonl'
  path.write_text('\n'.join([*map(json.dumps, rows), '{"family": "C", "see']))
  read = equal_compute.read_rows(path)
  assert read == [{**row, 'data': 'demo'} for row in rows]
  assert 'left out' in capsys.readouterr().err
  lines = equal_compute.table(read).splitlines()
  assert lines[2].startswith('| B | 0 |')
  assert lines[3].startswith('| A | 0 |')
  assert '0.75' in lines[2]
  assert '0.25' in lines[3]
  assert len({line.count('|') for line in lines}) == 1
