"""Tests of models/savn.py."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from vgen_jax.models import savn
from vgen_jax.nn.attention import space_time

KEYS = arrays.keys(3)
LABEL = np.array([0, 1, 0])


def generator(**fields) -> savn.Generator:
  small = {'width': 2, 'latent_width': 3, 'label_width': 2}
  return savn.Generator((4, 8, 8, 3), **small | fields)


def init(network, label=None, gamma: float = 1.0):
  """Returns parameters in which gates of attention have this factor."""
  condition = {} if label is None else {'label': label}
  variables = compiled.init(
    network, jax.random.key(1), KEYS, condition, train=False
  )
  return jax.tree_util.tree_map_with_path(
    lambda path, x: x * 0 + gamma if 'gamma' in str(path[-1]) else x, variables
  )


def run(network, variables, keys=KEYS, label=None):
  condition = {} if label is None else {'label': label}
  return compiled.apply(network, variables, keys, condition, train=False)


def test_clips_depend_on_their_own_noise_and_label():
  network = generator(num_classes=2)
  variables = init(network, LABEL)
  video = run(network, variables, label=LABEL)
  assert video.shape == (3, 4, 8, 8, 3)
  assert np.abs(video).max() <= 1
  # Frames differ.
  assert np.abs(np.diff(video, axis=1)).max(axis=(2, 3, 4)).min() > 1e-4
  other = run(network, variables, label=arrays.put(LABEL, 1, 0))
  differs_b = np.abs(other - video).max(axis=(1, 2, 3, 4)) > 1e-4
  assert differs_b.tolist() == [False, True, False]
  assert not np.allclose(video[0], video[2], atol=1e-3)
  with pytest.raises(ValueError, match='num_classes of savn'):
    init(network)


def test_frames_depend_on_their_index():
  """Without the index, the recurrent network has the same input each time."""
  network = generator()
  variables = init(network)
  params = dict(variables['params'])
  kernel = params['hidden']['kernel']
  of_code = np.arange(len(kernel))[:, None] < network.latent_width
  params['hidden'] = params['hidden'] | {'kernel': kernel * of_code}
  without = run(network, {**variables, 'params': params})
  assert not np.allclose(run(network, variables), without, atol=1e-3)
  longer = dataclasses.replace(network, clip_shape=(40, 8, 8, 3))
  steps = lambda params: np.abs(
    np.diff(run(longer, {**variables, 'params': params})[:, -8:], axis=1)
  ).max()
  assert steps(params) < 0.1 * steps(variables['params'])


def test_parameters_do_not_depend_on_the_length():
  """Without attention a longer clip starts with the shorter one."""
  network = generator()
  variables = init(network, gamma=0.0)
  longer = dataclasses.replace(network, clip_shape=(6, 8, 8, 3))
  np.testing.assert_allclose(
    run(longer, variables)[:, :4], run(network, variables), atol=1e-5
  )


def test_both_attentions_have_an_effect():
  network = generator()
  variables = init(network)
  video = run(network, variables)
  for name in ('coarse', 'fine'):
    params = dict(variables['params'])
    params[name] = params[name] | {'gamma': np.zeros(())}
    changed = run(network, {**variables, 'params': params})
    assert not np.allclose(changed, video, atol=1e-4)


def test_kinds_of_attention_have_equal_budgets_and_different_results():
  videos, counts = [], set()
  for kind in space_time.SELF_KINDS:
    network = generator(attention=kind)
    variables = init(network)
    counts.add(sum(x.size for x in jax.tree.leaves(variables)))
    videos.append(run(network, variables))
  assert len(counts) == 1
  for one in range(3):
    for other in range(one):
      assert not np.allclose(videos[one], videos[other], atol=1e-4)


def test_clips_are_float32_if_products_are_bfloat16():
  network = generator(dtype='bfloat16')
  video, _ = jax.eval_shape(
    lambda: network.init_with_output(jax.random.key(1), KEYS, {}, train=False)
  )
  assert video.dtype == jnp.float32


@pytest.mark.parametrize(
  ('fields', 'match'),
  [
    (dict(attention='none'), "attention is 'none'"),
    (dict(clip_shape=(4, 12, 12, 3)), '12 x 12'),
    (dict(latent_width=0), 'latent_width is 0'),
  ],
)
def test_wrong_fields(fields, match: str):
  with pytest.raises(ValueError, match=match):
    savn.Generator(**{'clip_shape': (4, 8, 8, 3)} | fields)
