"""Tests of evaluation/metrics/registry.py: what fits a run, what is missing."""

import pytest

from vgen_jax.evaluation.metrics import base
from vgen_jax.evaluation.metrics import registry
from vgen_jax.synthetic.digits import source as digits
from vgen_jax.synthetic.world import source as world

EVERYWHERE = (
  base.GENERATED,
  base.PREDICTED,
  base.RECONSTRUCTED,
  base.REAL,
  base.TRAIN,
)


@pytest.fixture(autouse=True)
def _no_weights(monkeypatch, tmp_path):
  monkeypatch.setenv('VGEN_WEIGHTS', str(tmp_path))


def facts(places=EVERYWHERE, frames=16, **kwargs):
  source = world.World((frames, 16, 16, 3))
  return registry.MetricInputs(source, places, **{'context': 2, **kwargs})


def test_every_name_makes_a_metric_or_tells_which_weights_it_lacks():
  for name in registry.known():
    if name in ('all', 'digits', 'rdigits', 'actions', 'futures'):
      continue
    metrics, missing = registry.make([name], facts())
    assert len(metrics) + len(missing) == 1, name
    (found,) = [metric.name for metric in metrics] or missing
    assert found.startswith(name.partition('-')[0])


def test_missing_weights_say_what_file_and_leave_the_others_be():
  metrics, missing = registry.make(['fvd', 'flicker', 'lpips'], facts())
  assert [metric.name for metric in metrics] == ['flicker']
  assert set(missing) == {'fvd-stylegan-v_16f', 'lpips'}
  value = missing['fvd-stylegan-v_16f']
  assert (value.value, value.status) == (None, 'weights-missing')
  for word in ('i3d_torchscript.pt', '51,235,320', 'bec6519f66ea', 'https://'):
    assert word in value.note
  assert value.protocol['searched']


def test_all_takes_what_fits_once():
  drawn = (base.GENERATED, base.REAL, base.TRAIN)
  metrics, missing = registry.make(['all'], facts(drawn))
  assert {m.name for m in metrics} == {
    'verifier',
    'flicker',
    'diversity',
    'copies',
  }
  assert {name.partition('-')[0] for name in missing} == {
    'fvd',
    'fid',
    'kid',
    'inception_score',
  }
  assert len(missing) == 4
  rebuilt, _ = registry.make(['all'], facts((base.RECONSTRUCTED, base.REAL)))
  assert {m.name for m in rebuilt} == {
    'rverifier',
    'rflicker',
    'reconstruction',
  }


@pytest.mark.parametrize(
  ('name', 'kwargs', 'message'),
  [
    ('verifer', {}, "no metric 'verifer'. Did you mean 'verifier'?"),
    ('fvd-video-gpt', {}, "Did you mean 'fvd-videogpt'?"),
    (
      'digits',
      {},
      'only verify clips of synthetic.digits.source.MovingDigits;',
    ),
    ('fvd', {'frames': 8}, 'clips of 8 frames; I3D needs 9'),
    ('prediction', {'context': 16}, 'context is 16; of clips of 16 frames'),
    (
      'prediction',
      {'places': (base.GENERATED,)},
      'does not accept known frames',
    ),
    ('lpips', {'places': (base.GENERATED,)}, 'does not accept known frames'),
    ('rfvd', {'places': (base.GENERATED,)}, 'has no autoencoder'),
    (
      'verifier',
      {'places': (base.RECONSTRUCTED,)},
      "put an 'r' before",
    ),
    (
      'copies',
      {'places': (base.GENERATED, base.REAL)},
      "no split 'validation'",
    ),
  ],
)
def test_what_does_not_fit_is_told(name, kwargs, message):
  with pytest.raises(ValueError, match=message):
    registry.make([name], facts(**kwargs))


def test_the_verifier_needs_its_own_dataset():
  source = digits.MovingDigits((16, 32, 32, 1), num_digits=1)
  with pytest.raises(
    ValueError, match=r'only verify clips of synthetic\.world\.source\.World;'
  ):
    registry.make(['verifier'], registry.MetricInputs(source, EVERYWHERE))
  (metric,), _ = registry.make(
    ['digits'], registry.MetricInputs(source, EVERYWHERE)
  )
  assert metric.name == 'digits'
