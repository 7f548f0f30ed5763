"""Tests of metrics/registry.py: which metrics exist, and which fit a run."""

import pathlib
import re
import sys

import numpy as np
import pytest

from vgen_jax import synthetic
from vgen_jax.evaluation import evaluator
from vgen_jax.evaluation import metrics as metrics_package
from vgen_jax.evaluation.metrics import base
from vgen_jax.evaluation.metrics import registry
from vgen_jax.pretrained import protocols
from vgen_jax.synthetic.actions import metric as actions_metric
from vgen_jax.synthetic.digits import metric as digits_metric
from vgen_jax.synthetic.digits import source as digits
from vgen_jax.synthetic.two_futures import metric as futures_metric
from vgen_jax.synthetic.world import metric as world_metric
from vgen_jax.synthetic.world import source as world

ROOT = pathlib.Path(__file__).parents[3]
ALL_SOURCES = (
  base.GENERATED,
  base.PREDICTED,
  base.RECONSTRUCTED,
  base.REAL,
  base.TRAIN,
)


@pytest.fixture(autouse=True)
def _no_weights(monkeypatch, tmp_path):
  monkeypatch.setenv('VGEN_WEIGHTS', str(tmp_path / 'weights'))


def inputs(sources=ALL_SOURCES, frames=16, **kwargs):
  dataset = world.World((frames, 16, 16, 3))
  return base.MetricInputs(dataset, sources, **{'context': 2, **kwargs})


def test_the_names_on_the_command_line():
  assert set(registry.available()) == {
    'all',
    *('verifier', 'rverifier', 'digits', 'rdigits', 'actions', 'futures'),
    *('fvd', 'fvd-original', 'fvd-stylegan-v', 'fvd-videogpt', 'fvd-cd-fvd'),
    *('rfvd', 'rfvd-original', 'rfvd-stylegan-v', 'rfvd-videogpt'),
    *('rfvd-cd-fvd', 'fid', 'fid-torch-fidelity', 'fid-pytorch-fid'),
    *('fid-clean-fid', 'rfid', 'rfid-torch-fidelity', 'rfid-pytorch-fid'),
    *('rfid-clean-fid', 'kid', 'rkid', 'inception_score', 'flicker'),
    *('rflicker', 'diversity', 'memorization', 'prediction', 'lpips'),
    *('reconstruction', 'rlpips'),
  }


def test_every_name_makes_a_metric_or_names_missing_weights():
  for name in registry.available():
    if name in ('all', 'digits', 'rdigits', 'actions', 'futures'):
      continue
    metrics, missing = registry.build([name], inputs())
    assert len(metrics) + len(missing) == 1, name
    (found,) = [metric.name for metric in metrics] or missing
    assert found.startswith(name.partition('-')[0])


def test_missing_weights_name_the_file_and_leave_other_metrics():
  metrics, missing = registry.build(['fvd', 'flicker', 'lpips'], inputs())
  assert [metric.name for metric in metrics] == ['flicker']
  assert set(missing) == {'fvd-stylegan-v_16f', 'lpips'}
  value = missing['fvd-stylegan-v_16f']
  assert (value.value, value.status) == (None, 'weights-missing')
  for word in ('i3d_torchscript.pt', '51,235,320', 'bec6519f66ea', 'https://'):
    assert word in value.note
  assert value.protocol['searched']
  _, missing = registry.build(['rfvd-videogpt', 'kid', 'rlpips'], inputs())
  assert set(missing) == {
    'rfvd-videogpt_16f',
    'kid-torch-fidelity',
    'rlpips',
  }


def test_all_takes_each_metric_that_fits_once():
  sources = (base.GENERATED, base.REAL, base.TRAIN)
  metrics, missing = registry.build(['all'], inputs(sources))
  assert {m.name for m in metrics} == {
    'verifier',
    'flicker',
    'diversity',
    'memorization',
  }
  assert {name.partition('-')[0] for name in missing} == {
    'fvd',
    'fid',
    'kid',
    'inception_score',
  }
  assert len(missing) == 4
  sources = (base.RECONSTRUCTED, base.REAL)
  metrics, _ = registry.build(['all'], inputs(sources))
  names = {m.name for m in metrics}
  assert names == {'rverifier', 'rflicker', 'reconstruction'}


@pytest.mark.parametrize(
  ('name', 'kwargs', 'message'),
  [
    ('verifer', {}, "Unknown metric 'verifer'. Did you mean 'verifier'?"),
    ('fvd-video-gpt', {}, "Did you mean 'fvd-videogpt'?"),
    ('digits', {}, 'applies to synthetic.digits.source.MovingDigits only'),
    ('fvd', {'frames': 8}, 'clips of 8 frames; I3D needs 9'),
    ('prediction', {'context': 16}, 'context is 16; .* clips of 16 frames'),
    (
      'prediction',
      {'sources': (base.GENERATED,)},
      'does not accept known frames',
    ),
    ('lpips', {'sources': (base.GENERATED,)}, 'does not accept known frames'),
    ('rfvd', {'sources': (base.GENERATED,)}, 'has no autoencoder'),
    (
      'verifier',
      {'sources': (base.RECONSTRUCTED,)},
      "put an 'r' before",
    ),
    (
      'memorization',
      {'sources': (base.GENERATED, base.REAL)},
      "Use data with a split 'validation'",
    ),
  ],
)
def test_a_metric_that_does_not_fit_is_an_error(name, kwargs, message):
  with pytest.raises(ValueError, match=message):
    registry.build([name], inputs(**kwargs))


def test_a_metric_of_a_synthetic_dataset_needs_that_dataset():
  dataset = digits.MovingDigits((16, 32, 32, 1), num_digits=1)
  given = base.MetricInputs(dataset, ALL_SOURCES)
  message = (
    r'applies to synthetic\.world\.source\.World only; the data is'
    r" MovingDigits\. Choose the metric of this dataset, such as 'digits'"
  )
  with pytest.raises(ValueError, match=message):
    registry.build(['verifier'], given)
  films = base.MetricInputs(object(), ALL_SOURCES)
  with pytest.raises(ValueError, match="any data, such as 'flicker' or"):
    registry.build(['verifier'], films)
  (metric,), _ = registry.build(['digits'], given)
  assert metric.name == 'digits'


TOY = '''
"""Mean level of generated clips."""

from vgen_jax.evaluation.metrics import base


class _Levels(base.FeatureExtractor):
  name = 'levels'
  protocol = {'version': 1}

  def __call__(self, clips):
    return {'level': clips['video'].mean((1, 2, 3, 4))}


class Level(base.Metric):
  name = 'toy_level'
  sources = (base.GENERATED,)
  for_reconstructions = True
  better = 'higher'
  unit = 'levels'

  def __init__(self):
    self.extractor = _Levels()

  def compute(self, features, rng):
    level_b = features[base.GENERATED]['level']
    return base.Findings({self.name: base.mean(level_b, **self.fields())})
'''


@pytest.mark.parametrize(
  ('package', 'file'),
  [(metrics_package, 'toy.py'), (synthetic, 'toy/metric.py')],
)
def test_one_file_adds_a_metric(package, file, tmp_path, monkeypatch):
  """The metric is listed and computed, also for reconstructions."""
  path = tmp_path / file
  path.parent.mkdir(exist_ok=True)
  (path.parent / '__init__.py').touch()
  path.write_text(TOY)
  assert 'toy_level' not in registry.available()
  before = set(sys.modules)
  monkeypatch.setattr(package, '__path__', [*package.__path__, str(tmp_path)])
  try:
    names = ['toy_level', 'rtoy_level']
    assert set(names) <= set(registry.available())
    built, _ = registry.build(names, inputs())
    provider = evaluator.ClipProvider(
      lambda first, num: {'video': np.full((num, 2, 4, 4, 3), 7, np.uint8)},
      identity={},
      chunk_size=4,
    )
    providers = {base.GENERATED: provider, base.RECONSTRUCTED: provider}
    values = evaluator.evaluate(built, providers, 6).values
  finally:
    for name in set(sys.modules) - before:
      if '.toy' in name:
        del sys.modules[name]
  assert set(values) == set(names)
  for value in values.values():
    assert (value.value, value.better, value.unit) == (7, 'higher', 'levels')


def test_two_metrics_of_one_name_are_an_error(tmp_path, monkeypatch):
  (tmp_path / 'toy_twice.py').write_text(TOY.replace('toy_level', 'flicker'))
  path = [*metrics_package.__path__, str(tmp_path)]
  monkeypatch.setattr(metrics_package, '__path__', path)
  try:
    with pytest.raises(ValueError, match="both define a metric 'flicker'"):
      registry.available()
  finally:
    sys.modules.pop('vgen_jax.evaluation.metrics.toy_twice', None)


def test_all_leaves_out_only_what_does_not_apply(monkeypatch):
  """A fault in a metric that applies, such as of its weights, is an error."""

  def broken(*args, **kwargs):
    raise ValueError('The file of weights is damaged.')

  monkeypatch.setattr(protocols, 'fvd', broken)
  with pytest.raises(ValueError, match='file of weights is damaged'):
    registry.build([registry.ALL], inputs())
  metrics, _ = registry.build([registry.ALL], inputs(sources=(base.PREDICTED,)))
  assert {metric.name for metric in metrics} == {'prediction'}


SYNTHETIC = {
  'verifier': world_metric.VALUES,
  'digits': digits_metric.VALUES,
  'actions': actions_metric.VALUES,
  'futures': futures_metric.VALUES,
}
OTHERS = {
  'fvd': ('fvd-stylegan-v_16f', 'fvd-stylegan-v_16f_infinity'),
  'fid': ('fid-torch-fidelity', 'fid-torch-fidelity_infinity'),
  'kid': ('kid-torch-fidelity',),
  'inception_score': ('inception_score',),
  'flicker': ('steadiness', 'dynamic_degree'),
  'diversity': ('nearest_neighbor_distance',),
  'memorization': ('memorized_fraction',),
  'prediction': (
    'psnr_best_of_10', 'psnr_best_of_10_worst_decile', 'psnr_sample_mean',
    'ssim-gaussian11-rgb_best_of_3', 'diversity_of_10',
  ),
  'lpips': ('lpips', 'lpips-alex_best_of_10', 'lpips-alex_sample_mean'),
  'reconstruction': (
    'reconstruction_psnr', 'reconstruction_ssim-uniform7-rgb',
    'codebook_usage', 'codebook_perplexity',
  ),
  'rlpips': ('rlpips', 'reconstruction_lpips-alex'),
}  # fmt: skip


@pytest.mark.parametrize('name', registry.classes())
def test_every_value_is_defined_in_a_sentence_with_its_source(name: str):
  values = (SYNTHETIC | OTHERS)[name]  # Add those of a new metric.
  kind = registry.classes()[name]
  for value in values:
    text = kind.define(value)
    assert not text[0].islower(), value
    sentence, source = text.split('Source: ')
    assert sentence.endswith(('. ', ', ')), value
    for file in re.findall(r'\w+/[\w/]+\.py', source):
      assert (ROOT / 'vgen_jax' / file).exists(), file
    assert len(source) > 10, value
  assert kind.define('nothing_like_this') == ''


def test_computed_values_have_their_definitions():
  metrics, missing = registry.build(['flicker', 'rflicker', 'fvd'], inputs())
  assert missing['fvd-stylegan-v_16f'].definition.startswith('Frechet distance')
  clips = {'video': np.zeros((4, 16, 16, 16, 3), np.uint8)}
  provider = evaluator.ClipProvider(lambda first, num: clips, {}, 4, None)
  found = evaluator.evaluate(
    metrics, dict.fromkeys(ALL_SOURCES, provider), num_clips=4
  )
  for name in ('steadiness', 'rsteadiness'):
    assert found.values[name].definition.startswith('One minus the mean')
