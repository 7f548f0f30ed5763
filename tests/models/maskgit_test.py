"""Tests of models/maskgit.py."""

import jax
import jax.numpy as jnp
import numpy as np

from tests import arrays
from tests import compiled
from vgen_jax.models import maskgit

GRID = (2, 2, 3)
CODES = arrays.integers((2, *GRID), 8)


def random_params(model, condition):
  init = lambda: model.init(jax.random.key(0), CODES, condition, train=False)
  rng = np.random.default_rng(0)
  return jax.tree.map(
    lambda x: np.float32(0.4 * rng.standard_normal(x.shape)),
    jax.eval_shape(init),
  )


def test_logits_depend_on_all_codes_of_their_clip():
  model = maskgit.MaskGIT(7, 16, 2, 2)
  params = random_params(model, {})
  apply = compiled.jit(
    lambda codes: model.apply(params, codes, {}, train=False)
  )
  out = apply(CODES)
  assert out.shape == (2, *GRID, 7)
  assert out.dtype == jnp.float32
  for position in ((0, 0, 0, 0), (0, 1, 1, 2)):
    other = arrays.put(CODES, position, (CODES[position] + 1) % 8)
    changed = apply(other) - out
    changed = np.abs(changed).max(-1)
    assert (changed[0] > 1e-4).all()
    assert (changed[1] == 0).all()


def test_logits_depend_on_label_and_text():
  model = maskgit.MaskGIT(7, 16, 1, 2, num_classes=2, vocab_size=4)
  conditioned = {
    'label': np.array([0, 2]),
    'text': np.array([[1, 2], [3, 0]]),
    'text_mask': np.array([[True, True], [True, False]]),
  }
  params = random_params(model, conditioned)
  apply = compiled.jit(
    lambda conditioned: model.apply(params, CODES, conditioned, train=False)
  )
  out = apply(conditioned)
  for other in (
    {'label': jnp.array([1, 2])},
    {'text': arrays.put(conditioned['text'], 0, 3)},
  ):
    changed = np.abs(apply(conditioned | other) - out).max((1, 2, 3, 4))
    assert changed[0] > 1e-3
    assert changed[1] == 0
  unlabeled = {'label': arrays.put(conditioned['label'], 1, 2)}
  no_text = conditioned | {'text_mask': np.zeros((2, 2), bool)}
  np.testing.assert_allclose(apply(unlabeled), apply(no_text), atol=1e-5)


def test_codes_are_small_at_first():
  """A normal distribution of standard deviation 0.02 (MaskGIT's code)."""
  model = maskgit.MaskGIT(255, 64, 1, 2)
  variables = compiled.init(model, jax.random.key(0), CODES, {}, train=False)
  [table] = jax.tree.leaves(variables['params']['code'])
  assert table.shape == (256, 64)
  np.testing.assert_allclose(table.std(), 0.02, rtol=0.03)


def test_parameter_count_equals_the_count_by_hand():
  """24 blocks of width d = 768, 1,024 codes, an image of 16 x 16 codes."""
  d, blocks, codes, grid = 768, 24, 1024, (1, 16, 16)
  block = 4 * d * d + d  # Query, key, value; out with a bias.
  block += 2 * 4 * d * d + 4 * d + d  # MLP.
  block += 2 * 2 * d  # Norms.
  rest = (codes + 1) * d + sum(
    grid
  ) * d // 3  # Embeddings of codes and positions.
  rest += 2 * d + d * d + d + 2 * d + codes  # Norm, last layer, norm, bias.
  assert blocks * block + rest == 171_443_968
  model = maskgit.MaskGIT(codes)
  params = jax.eval_shape(
    lambda x: model.init(jax.random.key(0), x, {}, train=False),
    jax.ShapeDtypeStruct((1, *grid), jnp.int32),
  )
  assert sum(x.size for x in jax.tree.leaves(params)) == 171_443_968
