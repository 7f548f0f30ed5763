"""Results for the tests of the report, with distinct numbers."""

import numpy as np
import pytest

from vgen_jax.evaluation.metrics import curves as curves_lib
from vgen_jax.evaluation.metrics import results
from vgen_jax.synthetic.world import source as world

NASTY = '<script>alert("1")</script> & \'co\''


@pytest.fixture(scope='session')
def make_result():
  """Returns a function that makes a result of a quality from 0 to 1."""

  def make(run='dit', quality=0.5, step=20, **changes):
    validity = results.Value(
      quality,
      interval=(quality - 0.1, quality + 0.1),
      real=1.0,
      better='higher',
      note='Proportion of clips that could be real.',
      protocol={'tier': 'strict'},
    )
    distance = results.Value(
      100 * (1 - quality) + 1,
      interval=(100 * (1 - quality), 100 * (1 - quality) + 2),
      floor=0.5,
      better='lower',
    )
    fields = {
      'run': run,
      'workdir': f'runs/{run}',
      'step': step,
      'date': '2026-11-21T13:32:25+00:00',
      'config': {'batch_size': 8, 'quality': quality},
      'protocol': {'num_generated': 64, 'frames_per_second': 30.0},
      'metrics': {
        'valid': validity,
        'frechet': distance,
        'fvd': results.Value(None, status='weights-missing', note='Get i3d.pt'),
        'slope': results.Value(None, better='higher', unit='dB'),
      },
      'curves': {
        'PSNR by frame': curves_lib.Curve(
          'frame',
          'dB',
          [0, 1, 2],
          {'model': [30.0, 20.0, 10.0]},
          {'model': ([29, 18, 7], [31, 22, 13])},
        )
      },
      'groups': {'by colour': {'red': {'value': quality, 'num': 16}}},
    }
    return results.Result(**(fields | changes))

  return make


@pytest.fixture(scope='session')
def clips():
  """Three pairs of clips of `World`, 8 x 16 x 16."""
  source = world.World((8, 16, 16, 3))
  video = np.stack([source[i]['video'] for i in range(6)])
  return {
    'generated': video[:3],
    'real': video[3:],
    'title': np.array(['up', 'down', NASTY]),
    'has_real': np.ones(3, bool),
    'clip': np.arange(3),
    'seed': np.full(3, 7),
  }


@pytest.fixture(scope='session')
def log():
  """Returns lines of a metrics.jsonl."""
  return [{'step': float(i), 'model/loss': 1 / i} for i in range(1, 100)]
