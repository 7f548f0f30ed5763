"""Tests of nn/bottlenecks/lookup_free.py."""

import functools
import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from vgen_jax.nn import batch_statistics
from vgen_jax.nn.bottlenecks import lookup_free

pytestmark = pytest.mark.usefixtures('compares_finite')

QUANTIZERS = {
  'FSQ': lookup_free.FSQ(levels=(8, 5, 4)),
  'LFQ': lookup_free.LFQ(num_bits=5),
  'BSQ': lookup_free.BSQ(num_bits=5),
}
each = pytest.mark.parametrize('name', QUANTIZERS)


@functools.cache
def bare(quantizer):
  """Returns variables with an identity projection."""
  width = quantizer.width
  x = np.zeros((1, 1, 1, 1, width), np.float32)
  variables = compiled.init(quantizer, jax.random.key(0), x, None, train=False)
  variables['params']['project'] = {
    'kernel': np.eye(width, dtype=np.float32),
    'bias': np.zeros(width, np.float32),
  }
  return variables


def features(quantizer, seed: int = 1, scale: float = 1.0):
  return np.float32(scale) * arrays.normal((2, 3, 4, 4, quantizer.width), seed)


def to_sphere(x):
  return x / np.linalg.norm(x, axis=-1, keepdims=True)


@functools.cache
def _quantize(quantizer):
  return compiled.jit(lambda v, x: quantizer.apply(v, x, None, train=False))


def quantized(quantizer, x):
  return _quantize(quantizer)(bare(quantizer), np.float32(x))


@each
def test_codes_and_vectors_correspond(name: str):
  """The vector of each code is unique and has this code."""
  quantizer = QUANTIZERS[name]
  codes = np.arange(quantizer.num_codes).reshape(1, 1, 1, -1)
  vectors = compiled.call(quantizer.lookup, codes)
  rows = vectors.reshape(-1, quantizer.width)
  assert len(np.unique(rows, axis=0)) == quantizer.num_codes
  x = vectors
  if name == 'FSQ':
    # Rounded numbers, before they are bounded.
    levels = np.array(quantizer.levels)
    shape = (1, 1, 1, 1, -1)
    reach = (levels - 1) / 2 * 1.001
    offset = np.where(levels % 2, 0, 0.5)
    inner = vectors * (levels // 2).reshape(shape)
    unbound = np.arctanh((inner + offset.reshape(shape)) / reach.reshape(shape))
    x = unbound - np.arctanh(offset / reach).reshape(shape)
  bottled = quantized(quantizer, x)
  np.testing.assert_array_equal(bottled.codes_bthw, codes)
  np.testing.assert_array_equal(bottled.latent_bthwd, vectors)
  assert bottled.codes_bthw.dtype == jnp.int32
  assert bottled.terms['usage'] == 1
  assert bottled.terms['perplexity'] == pytest.approx(
    quantizer.num_codes, rel=1e-4
  )


@each
def test_latents_off_the_grid_get_the_nearest_code(name: str):
  """Compared with brute force, also far outside of the grid."""
  quantizer = QUANTIZERS[name]
  every = np.arange(quantizer.num_codes).reshape(1, 1, 1, -1)
  x = features(quantizer, scale=2.0)
  vectors, codes = compiled.call(
    lambda every, x: (quantizer.lookup(every), quantizer.nearest(x)), every, x
  )
  vectors = vectors.reshape(-1, quantizer.width)
  distance = np.square(x[..., None, :] - vectors).sum(-1)
  np.testing.assert_array_equal(codes, distance.argmin(-1))
  assert codes.dtype == jnp.int32


@each
def test_gradients_are_straight_through(name: str):
  """Gradients equal those of the numbers before rounding."""
  quantizer = QUANTIZERS[name]
  weight = features(quantizer, seed=3)
  variables = bare(quantizer)

  def snapped(x):
    bottled = compiled.apply(quantizer, variables, x, None, train=False)
    return (weight * bottled.latent_bthwd).sum()

  def smooth(x):
    if name == 'FSQ':
      half = jnp.array([4, 2, 2]).reshape(1, 1, 1, 1, 3)
      return (
        weight
        * compiled.apply(quantizer, variables, x, method='bounded')
        / half
      ).sum()
    if name == 'BSQ':
      x = x / jnp.linalg.norm(x, axis=-1, keepdims=True)
    return (weight * x).sum()

  both = lambda x: (jax.grad(snapped)(x), jax.grad(smooth)(x))
  chex.assert_trees_all_close(
    *compiled.call(both, features(quantizer)), atol=1e-5
  )


def test_fsq_rounds_to_the_nearest_level():
  """Zero is in the middle of its level, and no number leaves the grid."""
  many = lookup_free.FSQ(levels=(1000, 999))
  rim = np.array([99.0, -99.0], np.float32).reshape(1, 1, 1, 2, 1)
  high, low = compiled.call(many.bounded, rim.repeat(2, -1))[0, 0, 0].round()
  np.testing.assert_array_equal(high, [499, 499])
  np.testing.assert_array_equal(low, [-500, -499])
  quantizer = lookup_free.FSQ(levels=(8, 5))
  x = np.array([[0.0, 0], [99, 99], [-99, -99], [0.1, -0.1]])
  bottled = quantized(quantizer, x.reshape(1, 1, 1, 4, 2))
  expected = [[0, 0], [0.75, 1], [-1, -1], [0, 0]]
  np.testing.assert_allclose(bottled.latent_bthwd[0, 0, 0], expected)
  middle = 4 + 8 * 2  # Digits start at 0; the first digit counts ones.
  np.testing.assert_array_equal(
    bottled.codes_bthw[0, 0, 0], [middle, 7 + 8 * 4, 0, middle]
  )


@pytest.mark.parametrize('name', ['LFQ', 'BSQ'])
def test_signs_give_the_nearest_corner(name: str):
  quantizer = QUANTIZERS[name]
  x = features(quantizer)
  bottled = quantized(quantizer, x)
  size = {'LFQ': 1.0, 'BSQ': 5**-0.5}[name]
  corners = size * np.array(list(itertools.product((-1, 1), repeat=5)))
  corners = corners[:, ::-1]  # The first bit counts ones.
  if name == 'BSQ':
    x = to_sphere(x)
    norms = np.linalg.norm(bottled.latent_bthwd, axis=-1)
    np.testing.assert_allclose(norms, 1, rtol=1e-6)
  gap = x[..., None, :] - corners
  nearest = np.argmin(np.square(gap).sum(-1), -1)
  np.testing.assert_array_equal(bottled.codes_bthw, nearest)


def test_entropies_equal_those_of_the_full_table():
  """Groups of bits are treated as independent."""
  logits = 2 * arrays.normal((50, 4))
  yes = 1 / (1 + np.exp(-np.float64(logits)))
  bits = np.array(list(itertools.product((0, 1), repeat=4)))
  table = np.prod(
    np.where(bits[None] == 1, yes[:, None], 1 - yes[:, None]), axis=-1
  )
  entropy = lambda p: -(p * np.log(p)).sum(-1)
  (one, together), (_, apart) = compiled.call(
    lambda x: [lookup_free.entropies(x, group=n) for n in (4, 1)], logits
  )
  assert one == pytest.approx(entropy(table).mean(), rel=1e-4)
  assert together == pytest.approx(entropy(table.mean(0)), rel=1e-4)
  both = np.stack([yes.mean(0), 1 - yes.mean(0)], -1)
  assert apart == pytest.approx(entropy(both).sum(), rel=1e-4)
  assert apart > together


@pytest.mark.parametrize('name', ['LFQ', 'BSQ'])
def test_probabilities_equal_a_softmax_of_distances(name: str):
  quantizer = QUANTIZERS[name].clone(temperature=0.7)
  x = features(quantizer)
  terms = quantized(quantizer, x).terms
  if name == 'BSQ':
    x = to_sphere(x)
  every = np.arange(32).reshape(1, 1, 1, -1)
  corners = compiled.call(quantizer.lookup, every)[0, 0, 0]
  square = np.square(np.float64(x)[..., None, :] - corners).sum(-1)
  share = np.exp(-square.reshape(-1, 32) / 0.7)
  share /= share.sum(-1, keepdims=True)
  entropy = lambda p: -(p * np.log(p)).sum(-1)
  mean = entropy(share).mean()
  assert terms['code_entropy'] == pytest.approx(mean, rel=1e-4)
  of_mean = entropy(share.mean(0))
  assert terms['codebook_entropy'] == pytest.approx(of_mean, rel=1e-4)


def test_gradients_are_finite_for_codes_far_from_all_features():
  """The probabilities of these codes are 0 in float32."""
  logits = np.float32([[40.0] * 9] * 3 + [[-40.0] * 9])
  both = lambda x: jnp.stack(lookup_free.entropies(x, group=9))
  (one, together), slopes = compiled.call(
    lambda x, more: (both(x), jax.jacrev(both)(more)),
    logits,
    np.concatenate([logits, np.zeros((1, 9), np.float32)]),
  )
  assert one == pytest.approx(0, abs=1e-6)
  assert together == pytest.approx(-0.75 * np.log(0.75) - 0.25 * np.log(0.25))
  assert np.isfinite(slopes).all()
  assert (slopes[1, -1] != 0).any()


@pytest.mark.parametrize('name', ['LFQ', 'BSQ'])
def test_entropy_loss_is_low_for_certain_features_and_all_codes(name: str):
  cls = {'LFQ': lookup_free.LFQ, 'BSQ': lookup_free.BSQ}[name]
  more = {'commitment': 0.0} if name == 'LFQ' else {}
  make = lambda **fields: cls(num_bits=3, temperature=1.0, **fields, **more)
  variables = bare(make())

  def loss_of(quantizer):
    of = lambda x: quantizer.apply(variables, x, None, train=False).loss
    return compiled.jit(jax.value_and_grad(of))

  # Uncertain; all the same; certain and spread over all codes.
  x = features(make(), scale=0.3)
  signs = np.sign(x)
  alike = np.abs(signs)
  both = loss_of(make())
  assert both(signs)[0] < both(0.01 * x)[0]
  assert both(signs)[0] < both(alike)[0]
  # For certainty, a feature grows. For diversity, the mean shrinks.
  _, slope = loss_of(make(diversity=0.0))(0.3 * signs + 0.2 * x)
  if name == 'LFQ':
    assert (np.sign(-slope) == signs).all()
  lopsided = x + np.float32([1.0, 0, 0])
  _, slope = loss_of(make(diversity=9.0))(lopsided)
  assert slope[..., 0].mean() > 0


@each
def test_metrics_show_collapse(name: str):
  quantizer = QUANTIZERS[name]
  terms = quantized(quantizer, np.ones((2, 3, 4, 4, quantizer.width))).terms
  assert terms['usage'] == terms['recent_usage'] == 1 / quantizer.num_codes
  assert terms['perplexity'] == terms['recent_perplexity'] == 1
  terms = quantized(quantizer, features(quantizer)).terms
  assert terms['usage'] > 0.3
  assert terms['perplexity'] > 0.2 * quantizer.num_codes


@pytest.mark.parametrize('name', ['LFQ', 'BSQ'])
def test_training_uses_the_frequencies_of_the_whole_batch(name: str):
  """Micro-batches have the codebook entropy of the batch, not their own."""
  quantizer, key = QUANTIZERS[name], batch_statistics.COLLECTION
  x = features(quantizer)
  variables = {k: v for k, v in bare(quantizer).items() if k != key}
  mutable = [*variables.keys() - {'params'}, key]

  @functools.partial(compiled.jit, static_argnums=2)
  def outcome(x, statistics, train) -> tuple:
    given = variables if statistics is None else variables | {key: statistics}
    collected = mutable if statistics is None else mutable[:-1]
    output, state = quantizer.apply(
      given, x, None, train=train, mutable=collected
    )
    return output.terms['codebook_entropy'], state.get(key)

  def entropy(x, statistics=None, train=True) -> tuple:
    value, state = outcome(x, statistics, train)
    return float(value), state

  whole, _ = entropy(x)
  parts = [entropy(half) for half in (x[:1], x[1:])]
  stacked = jax.tree.map(lambda *xs: np.stack(xs), *(p[1] for p in parts))
  combined = compiled.call(batch_statistics.combined, stacked)
  for (own, _), half in zip(parts, (x[:1], x[1:]), strict=True):
    assert abs(own - whole) > 1e-3
    assert entropy(half, combined)[0] == pytest.approx(whole, abs=1e-5)
    assert entropy(half, combined, train=False)[0] == pytest.approx(own)


def test_invalid_fields_raise():
  with pytest.raises(ValueError, match='3 or more'):
    lookup_free.FSQ(levels=(8, 2))
  with pytest.raises(ValueError, match='1,000 at most'):
    lookup_free.FSQ(levels=(1024,))
  with pytest.raises(ValueError, match='num_bits is 21'):
    lookup_free.LFQ(num_bits=21)
