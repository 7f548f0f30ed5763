"""Tests of nn/bottlenecks/lookup_free.py."""

import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

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


def bare(quantizer):
  """Returns variables with an identity projection."""
  width = quantizer.width
  x = jnp.zeros((1, 1, 1, 1, width))
  init = compiled.jit(
    lambda: quantizer.init(jax.random.key(0), x, None, train=False)
  )
  variables = init()
  variables['params']['project'] = {
    'kernel': jnp.eye(width),
    'bias': jnp.zeros(width),
  }
  return variables


def features(quantizer, seed: int = 1, scale: float = 1.0):
  shape = (2, 3, 4, 4, quantizer.width)
  return scale * jax.random.normal(jax.random.key(seed), shape)


def quantized(quantizer, x):
  call = compiled.jit(lambda v, x: quantizer.apply(v, x, None, train=False))
  return call(bare(quantizer), x)


@each
def test_codes_and_vectors_correspond(name: str):
  """The vector of each code is unique and has this code."""
  quantizer = QUANTIZERS[name]
  codes = jnp.arange(quantizer.num_codes).reshape(1, 1, 1, -1)
  vectors = quantizer.lookup(codes)
  rows = np.asarray(vectors).reshape(-1, quantizer.width)
  assert len(np.unique(rows, axis=0)) == quantizer.num_codes
  x = vectors
  if name == 'FSQ':
    # Rounded numbers, before they are bounded.
    levels = np.array(quantizer.levels)
    shape = (1, 1, 1, 1, -1)
    reach = (levels - 1) / 2 * 1.001
    offset = np.where(levels % 2, 0, 0.5)
    inner = np.asarray(vectors) * (levels // 2).reshape(shape)
    unbound = np.arctanh((inner + offset.reshape(shape)) / reach.reshape(shape))
    x = jnp.asarray(unbound - np.arctanh(offset / reach).reshape(shape))
  bottled = quantized(quantizer, x.astype(jnp.float32))
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
  every = jnp.arange(quantizer.num_codes).reshape(1, 1, 1, -1)
  vectors = np.asarray(quantizer.lookup(every)).reshape(-1, quantizer.width)
  x = np.asarray(features(quantizer, scale=2.0))
  distance = np.square(x[..., None, :] - vectors).sum(-1)
  codes = quantizer.nearest(x)
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

  x = features(quantizer)
  chex.assert_trees_all_close(
    compiled.jit(jax.grad(snapped))(x),
    compiled.jit(jax.grad(smooth))(x),
    atol=1e-5,
  )


def test_fsq_rounds_to_the_nearest_level():
  """Zero is in the middle of its level, and no number leaves the grid."""
  many = lookup_free.FSQ(levels=(1000, 999))
  rim = jnp.full((1, 1, 1, 1, 2), 99.0)
  np.testing.assert_array_equal(many.bounded(rim).round().ravel(), [499, 499])
  low = many.bounded(-rim).round().ravel()
  np.testing.assert_array_equal(low, [-500, -499])
  quantizer = lookup_free.FSQ(levels=(8, 5))
  x = jnp.array([[0.0, 0], [99, 99], [-99, -99], [0.1, -0.1]])
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
    x = x / jnp.linalg.norm(x, axis=-1, keepdims=True)
    norms = np.linalg.norm(bottled.latent_bthwd, axis=-1)
    np.testing.assert_allclose(norms, 1, rtol=1e-6)
  gap = np.asarray(x)[..., None, :] - corners
  nearest = np.argmin(np.square(gap).sum(-1), -1)
  np.testing.assert_array_equal(bottled.codes_bthw, nearest)


def test_entropies_equal_those_of_the_full_table():
  """Groups of bits are treated as independent."""
  logits = 2 * jax.random.normal(jax.random.key(0), (50, 4))
  yes = np.asarray(jax.nn.sigmoid(logits), np.float64)
  bits = np.array(list(itertools.product((0, 1), repeat=4)))
  table = np.prod(
    np.where(bits[None] == 1, yes[:, None], 1 - yes[:, None]), axis=-1
  )
  entropy = lambda p: -(p * np.log(p)).sum(-1)
  one, together = lookup_free.entropies(logits, group=4)
  assert one == pytest.approx(entropy(table).mean(), rel=1e-4)
  assert together == pytest.approx(entropy(table.mean(0)), rel=1e-4)
  _, apart = lookup_free.entropies(logits, group=1)
  both = np.stack([yes.mean(0), 1 - yes.mean(0)], -1)
  assert apart == pytest.approx(entropy(both).sum(), rel=1e-4)
  assert apart > together


@pytest.mark.parametrize('name', ['LFQ', 'BSQ'])
def test_probabilities_equal_a_softmax_of_distances(name: str):
  quantizer = QUANTIZERS[name].clone(temperature=0.7)
  x = features(quantizer)
  terms = quantized(quantizer, x).terms
  if name == 'BSQ':
    x = x / jnp.linalg.norm(x, axis=-1, keepdims=True)
  corners = quantizer.lookup(jnp.arange(32).reshape(1, 1, 1, -1))[0, 0]
  square = jnp.square(x[..., None, :] - corners[None, None, None]).sum(-1)
  share = np.asarray(jax.nn.softmax(-square.reshape(-1, 32) / 0.7), np.float64)
  entropy = lambda p: -(p * np.log(p)).sum(-1)
  mean = entropy(share).mean()
  assert terms['code_entropy'] == pytest.approx(mean, rel=1e-4)
  of_mean = entropy(share.mean(0))
  assert terms['codebook_entropy'] == pytest.approx(of_mean, rel=1e-4)


def test_gradients_are_finite_for_codes_far_from_all_features():
  """The probabilities of these codes are 0 in float32."""
  logits = jnp.concatenate([jnp.full((3, 9), 40.0), jnp.full((1, 9), -40.0)])
  both = lambda x: jnp.stack(lookup_free.entropies(x, group=9))
  one, together = both(logits)
  assert one == pytest.approx(0, abs=1e-6)
  assert together == pytest.approx(-0.75 * np.log(0.75) - 0.25 * np.log(0.25))
  slopes = compiled.jit(jax.jacrev(both))(
    jnp.concatenate([logits, jnp.zeros((1, 9))])
  )
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
  signs = jnp.sign(x)
  alike = np.abs(signs)
  both = loss_of(make())
  assert both(signs)[0] < both(0.01 * x)[0]
  assert both(signs)[0] < both(alike)[0]
  # For certainty, a feature grows. For diversity, the mean shrinks.
  _, slope = loss_of(make(diversity=0.0))(0.3 * signs + 0.2 * x)
  if name == 'LFQ':
    assert (jnp.sign(-slope) == signs).all()
  lopsided = x + jnp.array([1.0, 0, 0]).reshape(1, 1, 1, 1, 3)
  _, slope = loss_of(make(diversity=9.0))(lopsided)
  assert slope[..., 0].mean() > 0


@each
def test_metrics_show_collapse(name: str):
  quantizer = QUANTIZERS[name]
  terms = quantized(quantizer, jnp.ones((2, 3, 4, 4, quantizer.width))).terms
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

  def entropy(x, statistics=None, train=True) -> tuple:
    given = variables if statistics is None else variables | {key: statistics}
    collected = mutable if statistics is None else mutable[:-1]
    output, state = compiled.apply(
      quantizer, given, x, None, train=train, mutable=collected
    )
    return float(output.terms['codebook_entropy']), state.get(key)

  whole, _ = entropy(x)
  parts = [entropy(half) for half in (x[:1], x[1:])]
  stacked = jax.tree.map(lambda *xs: jnp.stack(xs), *(p[1] for p in parts))
  combined = batch_statistics.combined(stacked)
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
