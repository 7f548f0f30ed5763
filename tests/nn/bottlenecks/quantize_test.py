"""Tests of nn/bottlenecks/quantize.py."""

import functools

import chex
import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from vgen_jax.nn.bottlenecks import quantize

pytestmark = pytest.mark.usefixtures('compares_finite')

KEYS = jax.random.wrap_key_data(np.arange(8, dtype=np.uint32).reshape(4, 2))
LEARNED = {
  'EMAVQ': quantize.EMAVQ(num_codes=8, width=2),
  'VQ': quantize.VQ(num_codes=8, width=2),
}
each = pytest.mark.parametrize('name', LEARNED)


@functools.cache
def initial(quantizer):
  x = np.zeros((1, 1, 1, 1, quantizer.width), np.float32)
  return compiled.init(quantizer, jax.random.key(0), x, None, train=False)


def bare(quantizer, vectors_kd=None):
  """Returns variables with an identity projection."""
  width = quantizer.width
  variables = {k: dict(v) for k, v in initial(quantizer).items()}
  variables['params']['project'] = {
    'kernel': np.eye(width, dtype=np.float32),
    'bias': np.zeros(width, np.float32),
  }
  if vectors_kd is not None:
    home = 'params' if 'vectors' in variables['params'] else 'codebook'
    variables[home]['vectors'] = np.asarray(vectors_kd, np.float32)
  return variables


def features(shape, seed: int = 1):
  return arrays.normal(shape, seed)


@functools.cache
def make_step(quantizer):
  @compiled.jit
  def step(variables, x, key_b, i):
    if key_b is not None:
      key_b = jax.vmap(lambda key: jax.random.fold_in(key, i))(key_b)
    output, changed = quantizer.apply(
      variables, x, key_b, train=True, mutable=['codebook']
    )
    return changed['codebook'], output.terms

  return step


def train(quantizer, variables, batches, key_b=KEYS):
  """Trains on batches; returns the codebook and the last metrics."""
  for i, x in enumerate(batches):
    codebook, terms = make_step(quantizer)(variables, x, key_b, i)
    variables = variables | {'codebook': codebook}
  return codebook, terms


@each
def test_latents_between_vectors_get_the_nearest_code(name: str):
  quantizer = LEARNED[name]
  variables = bare(quantizer, features((8, 2), seed=2))
  x = features((2, 2, 2, 2, 2))
  vectors, codes = compiled.call(
    lambda v, x: (
      quantizer.apply(v, jnp.arange(8), method='lookup'),
      quantizer.apply(v, x, method='nearest'),
    ),
    variables,
    x,
  )
  distance = np.square(x[..., None, :] - vectors).sum(-1)
  np.testing.assert_array_equal(codes, distance.argmin(-1))


@each
def test_codes_are_the_nearest_vectors(name: str):
  quantizer = LEARNED[name]
  variables = bare(quantizer, features((8, 2), seed=2))
  x = features((2, 3, 2, 2, 2))

  def outcome(v, x):
    output = quantizer.apply(v, x, None, train=False)
    looked_up = quantizer.apply(v, output.codes_bthw, method='lookup')
    return output, looked_up

  output, looked_up = compiled.call(outcome, variables, x)
  gaps = x[..., None, :] - features((8, 2), seed=2)
  expected = np.argmin(np.square(gaps).sum(-1), -1)
  np.testing.assert_array_equal(output.codes_bthw, expected)
  assert output.codes_bthw.dtype == jnp.int32
  np.testing.assert_array_equal(output.latent_bthwd, looked_up)


def test_distances_have_full_precision():
  """Accelerators round factors by default, which must not happen here."""
  nearest = jax.make_jaxpr(quantize.nearest)
  (dot,) = (
    eqn
    for eqn in nearest(features((1, 2, 2, 2, 3)), features((5, 3))).eqns
    if eqn.primitive.name == 'dot_general'
  )
  assert set(dot.params['precision']) == {jax.lax.Precision.HIGHEST}


@each
def test_gradients_are_straight_through(name: str):
  """Features get the gradient of the decoder, and codebook vectors do not."""
  quantizer = LEARNED[name]
  variables = bare(quantizer, features((8, 2), seed=2))
  weight = features((1, 2, 2, 2, 2), seed=3)

  def outcome(x, variables):
    output = quantizer.apply(variables, x, None, train=False)
    return (weight * output.latent_bthwd).sum()

  x = features((1, 2, 2, 2, 2))
  by_x, by_v = compiled.jit(jax.grad(outcome, (0, 1)))(x, variables)
  chex.assert_trees_all_close(by_x, weight)
  if name == 'VQ':
    assert not by_v['params']['vectors'].any()


def test_losses_equal_those_by_hand():
  """The feature is 1, the vectors 0 and 3: the squared distance is 1."""
  x = np.ones((1, 1, 1, 1, 1), np.float32)
  for quantizer, loss, slope in (
    (quantize.EMAVQ(2, 1, commitment=0.25), 0.25, 0.5),
    (quantize.VQ(2, 1, commitment=0.25), 1.25, 0.5),
  ):
    variables = bare(quantizer, [[0.0], [3.0]])
    of = lambda x, v, q=quantizer: q.apply(v, x, None, train=False).loss
    value, (by_x, by_v) = compiled.jit(jax.value_and_grad(of, (0, 1)))(
      x, variables
    )
    assert value == pytest.approx(loss)
    assert by_x.item() == pytest.approx(slope)  # 0.25 * 2 * (1 - 0).
    if isinstance(quantizer, quantize.VQ):
      np.testing.assert_allclose(by_v['params']['vectors'], [[-2], [0]])


def planted(seed: int, centers=((-3, 0), (3, 0), (0, 3), (0, -3))):
  """Returns features around four centres, equally many around each."""
  centers = np.array(centers, np.float32)
  rng = np.random.default_rng(seed)
  cluster = np.tile(np.arange(4), 16)
  x = centers[cluster] + 0.1 * rng.standard_normal((64, 2))
  return np.float32(x).reshape(4, 4, 2, 2, 2)


def test_codebook_finds_planted_clusters():
  quantizer = quantize.EMAVQ(num_codes=4, width=2, decay=0.8)
  # All start on one side, so that three of them must restart.
  variables = bare(quantizer, features((4, 2)) + np.array([9.0, 0]))
  batches = [planted(i) for i in range(120)]
  # With half of all keys two codes stay in one cluster, and none restarts.
  key_b = arrays.keys(4)
  codebook, terms = train(quantizer, variables, batches, key_b)
  gap = np.asarray(codebook['vectors'])[:, None] - [
    (-3, 0), (3, 0), (0, 3), (0, -3)
  ]  # fmt: skip
  assert np.linalg.norm(gap, axis=-1).min(0).max() < 0.1
  assert terms['usage'] == 1
  assert terms['perplexity'] == pytest.approx(4, rel=1e-3)
  assert terms['restarted'] == 0
  np.testing.assert_allclose(codebook['count'].sum(), 64, rtol=1e-4)


def test_unused_codes_stay_unused_without_restarts():
  quantizer = quantize.EMAVQ(num_codes=4, width=2, decay=0.8, restart_below=0)
  variables = bare(quantizer, [[0, 0], [90, 0], [91, 0], [92, 0]])
  codebook, terms = train(
    quantizer, variables, [planted(i) for i in range(40)], key_b=None
  )
  assert terms['usage'] == 0.25
  assert terms['perplexity'] == pytest.approx(1)
  np.testing.assert_array_equal(codebook['vectors'][1:, 0], [90, 91, 92])


def test_restarts_need_keys_and_depend_on_them():
  quantizer = quantize.EMAVQ(num_codes=4, width=2)
  variables = bare(quantizer)
  one, terms = train(quantizer, variables, [planted(0)])
  assert terms['restarted'] == 1  # None has been used before.
  rows = np.asarray(planted(0)).reshape(-1, 2)
  for vector in np.asarray(one['vectors']):
    assert (rows == vector).all(1).any()
  again, _ = train(quantizer, variables, [planted(0)])
  chex.assert_trees_all_equal(one, again)
  other, _ = train(quantizer, variables, [planted(0)], KEYS[::-1])
  assert (other['vectors'] != one['vectors']).any()
  with pytest.raises(ValueError, match='key_b is None'):
    train(quantizer, variables, [planted(0)], key_b=None)


def test_a_code_restarts_until_it_is_used_enough():
  """When features change, codes restart at once, before counts decay."""
  quantizer = quantize.EMAVQ(num_codes=4, width=2)
  far = planted(1) + np.float32([100.0, 0])
  _, terms = train(quantizer, bare(quantizer), [planted(0), far])
  assert terms['usage'] == 0.25
  assert terms['restarted'] == 0.75
  _, terms = train(quantizer, bare(quantizer), [planted(0), far, far])
  assert terms['usage'] > 0.25


def test_the_codebook_does_not_depend_on_the_number_of_devices():
  quantizer = quantize.EMAVQ(num_codes=4, width=2, decay=0.8)
  variables = bare(quantizer)
  mesh = Mesh(np.array(jax.devices()[:4]), ('data',))
  cut = NamedSharding(mesh, P('data'))
  batches = [planted(i) for i in range(3)]
  whole, _ = train(quantizer, variables, batches)
  shared, _ = train(
    quantizer,
    variables,
    [jax.device_put(x, cut) for x in batches],
    jax.device_put(KEYS, cut),
  )
  chex.assert_trees_all_close(whole, shared, atol=1e-5)


def test_metrics_show_collapse():
  quantizer = quantize.EMAVQ(num_codes=8, width=2, restart_below=0)
  x = features((4, 4, 4, 4, 2))
  spread = bare(quantizer, features((8, 2), seed=2))
  _, terms = train(quantizer, spread, [x] * 5)
  assert terms['usage'] == terms['recent_usage'] == 1
  assert terms['perplexity'] > 4
  assert terms['recent_perplexity'] > 4
  far = np.repeat([[0.0], [99.0]], (1, 7), axis=0).repeat(2, 1)
  _, terms = train(quantizer, bare(quantizer, far), [x] * 5)
  assert terms['usage'] == terms['recent_usage'] == 1 / 8
  assert terms['perplexity'] == terms['recent_perplexity'] == 1


def test_recent_usage_covers_the_last_hundred_batches():
  """One batch with only code 0, then batches with only code 1."""
  quantizer = quantize.VQ(num_codes=2, width=1)
  variables = bare(quantizer, [[-1.0], [1.0]])
  one = np.ones((1, 1, 1, 1, 1), np.float32)
  for later, share in ((50, 1.0), (150, 0.5)):
    _, terms = train(quantizer, variables, [-one] + [one] * later)
    assert terms['usage'] == 0.5
    assert terms['recent_usage'] == share


def test_inference_does_not_change_the_codebook():
  quantizer = LEARNED['EMAVQ']
  variables = bare(quantizer)
  _, changed = compiled.apply(
    quantizer, variables, planted(0), None, train=False, mutable=['codebook']
  )
  chex.assert_trees_all_equal(changed['codebook'], variables['codebook'])
