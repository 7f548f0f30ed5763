"""Tests of transformer.py, conditioning.py and cache.py."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from vgen_jax.nn.attention import cache
from vgen_jax.nn.attention import conditioning
from vgen_jax.nn.attention import transformer

WIDTH, HEADS, GRID = 12, 2, (3, 1, 2)
X_BND = arrays.normal((2, 6, WIDTH))


def random_like(shapes, seed: int = 0):
  """Returns random parameters none of which is zero."""
  rng = np.random.default_rng(seed)
  return jax.tree.map(
    lambda x: np.float32(0.4 * rng.standard_normal(x.shape)), shapes
  )


def make(context=None, **kwargs):
  fields = dict(width=WIDTH, depth=2, num_heads=HEADS, is_causal=True) | kwargs
  blocks = transformer.Blocks(**fields)
  context = context or conditioning.Context()
  init = lambda: blocks.init(jax.random.key(0), X_BND, context, train=False)
  return blocks, random_like(jax.eval_shape(init))


@functools.cache
def _apply(blocks, **options):
  return compiled.jit(functools.partial(blocks.apply, **options))


def apply(blocks, params, x_bnd=X_BND, context=None, rngs=None, **kwargs):
  run = _apply(blocks, **dict(train=False) | kwargs)
  return run(params, x_bnd, context or conditioning.Context(), rngs=rngs)


def decode(blocks, params, window, context=None):
  """Returns the outputs for X_BND, computed one token at a time."""
  context = context or conditioning.Context()

  @compiled.jit
  def run(params, context):
    kv_cache = blocks.apply(params, 2, window, context, method='init_cache')

    def step(kv_cache, position):
      x_b1d = jax.lax.dynamic_slice_in_dim(X_BND, position, 1, axis=1)
      here = conditioning.at(context, position)
      y_b1d, kv_cache = blocks.apply(
        params, x_b1d, kv_cache, here, position, method='decode_step'
      )
      return kv_cache, y_b1d[:, 0]

    return jax.lax.scan(step, kv_cache, jnp.arange(6))[1].swapaxes(0, 1)

  return run(params, context)


def make_context(
  positions='absolute', num_classes=0, vocab_size=0, condition=None
):
  maker = conditioning.Conditioning(
    WIDTH, WIDTH // HEADS, positions, num_classes, vocab_size
  )
  init = lambda: maker.init(jax.random.key(0), condition or {}, 2, GRID)
  params = random_like(jax.eval_shape(init))
  return compiled.apply(maker, params, condition or {}, 2, GRID)


TEXT = {
  'label': np.array([0, 2]),
  'text': np.array([[1, 2, 3], [4, 0, 0]]),
  'text_mask': np.array([[True, True, True], [True, False, False]]),
}


@pytest.mark.parametrize('is_causal', [True, False])
def test_a_token_depends_on_earlier_tokens_or_on_all(is_causal):
  blocks, params = make(is_causal=is_causal)
  third = lambda x_bnd: blocks.apply(
    params, x_bnd, conditioning.Context(), train=False
  )[0, 2].sum()
  dependence = np.abs(compiled.jit(jax.grad(third))(X_BND)).max(-1)
  assert (dependence[0, :3] > 1e-5).all()
  assert not dependence[1].any()
  if is_causal:  # Exactly.
    assert (dependence[0, 3:] == 0).all()
  else:
    assert (dependence[0, 3:] > 1e-5).all()


slow = functools.partial(pytest.param, marks=pytest.mark.slow)


@pytest.mark.parametrize(
  ('how', 'window'),
  [
    ('plain', 6), slow('plain', 4), slow('plain', 1),
    slow('rotary', 6), ('rotary', 4), slow('rotary', 1),
    slow('conditional', 6), slow('conditional', 4), ('conditional', 1),
  ],
)  # fmt: skip
def test_decoding_with_a_cache_equals_one_pass(how, window):
  """Outputs are equal even when the cache only has the last `window` tokens."""
  fields, context = {}, None
  if how == 'rotary':
    context = make_context('rotary')
  if how == 'conditional':
    fields = dict(num_classes=2, has_text=True, remat='full')
    context = make_context('absolute', 2, 5, TEXT)
  blocks, params = make(context, **fields)
  whole = apply(blocks, params, context=context, window=window)
  steps = decode(blocks, params, window, context)
  np.testing.assert_allclose(steps, whole, atol=1e-5)
  if window < 6:  # An unlimited cache gives another result.
    assert np.abs(steps - apply(blocks, params, context=context)).max() > 1e-2


def test_one_layer_with_a_full_cache_depends_only_on_the_window():
  """A single layer does not depend on overwritten tokens."""
  context = make_context('rotary')
  blocks, params = make(context, depth=1)
  steps = decode(blocks, params, 3, context)
  late = context._replace(angle_np=context.angle_np[3:])
  alone = apply(blocks, params, X_BND[:, 3:], late)
  np.testing.assert_allclose(steps[:, -1], alone[:, -1], atol=1e-5)


def test_a_full_cache_overwrites_the_oldest_token():
  empty = compiled.call(cache.empty, 1, 1, 3, (1, 1), 'float32')
  cached = jax.tree.map(lambda x: x[0], empty)

  @compiled.jit
  def write(cached, position):
    token = jnp.full((1, 1, 1, 1), position + 1.0)
    cached = cache.write(cached, cache.KeyValues(token, -token), position)
    return cached, cache.filled_mask(cached, position)

  for position in range(5):
    cached, filled = write(cached, position)
    assert int(filled.sum()) == min(position + 1, 3)
  np.testing.assert_array_equal(cached.key_bmae.ravel(), [4, 5, 3])
  np.testing.assert_array_equal(cached.value_bmae.ravel(), [-4, -5, -3])


def test_window_mask_equals_the_expected_band():
  expected = [[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]]
  np.testing.assert_array_equal(
    compiled.call(cache.window_mask, 4, 2)[0], np.array(expected, bool)
  )


def test_outputs_depend_on_the_label_and_text_of_their_clip():
  context = make_context('absolute', 2, 5, TEXT)
  blocks, params = make(context, num_classes=2, has_text=True)
  out = apply(blocks, params, context=context)
  other = context._replace(label_b=np.array([1, 2]))
  changed = np.abs(apply(blocks, params, context=other) - out).max((1, 2))
  assert changed[0] > 1e-2
  assert changed[1] == 0
  changed_bmd = context.text_bmd.copy()
  changed_bmd[1, 1] *= 2
  changed = np.abs(
    apply(blocks, params, context=context._replace(text_bmd=changed_bmd)) - out
  ).max((1, 2))
  assert changed[1] > 1e-3
  assert changed[0] == 0
  # Padding has no effect.
  padded = context.text_bmd.copy()
  padded[1, 2:] = 9.0
  same = apply(blocks, params, context=context._replace(text_bmd=padded))
  np.testing.assert_array_equal(same, out)


def test_an_empty_condition_has_the_null_label_and_null_text():
  unconditional = make_context('absolute', 2, 5, {})
  np.testing.assert_array_equal(unconditional.label_b, [2, 2])
  assert unconditional.text_bmd.shape == (2, 1, WIDTH)
  masked = make_context(
    'absolute', 2, 5, TEXT | {'text_mask': np.zeros((2, 3), bool)}
  )
  np.testing.assert_array_equal(
    masked.text_mask_bm, [[True, False, False, False]] * 2
  )
  np.testing.assert_array_equal(masked.text_bmd[:, :1], unconditional.text_bmd)


def test_positions_differ_along_each_axis():
  grid = (2, 3, 2)
  for positions, axes in (('absolute', (0, 1, 2)), ('rotary', (1, 2))):
    maker = conditioning.Conditioning(12, 6, positions)
    init = lambda maker=maker: maker.init(jax.random.key(0), {}, 1, grid)
    params = random_like(jax.eval_shape(init))
    context = compiled.apply(maker, params, {}, 1, grid)
    place_thwd = context.position_nd.reshape(*grid, 12)
    for axis in range(3):
      gap = np.abs(np.diff(place_thwd, axis=axis)).max()
      assert (gap > 1e-2) == (axis in axes), (positions, axis)
    assert (context.angle_np is None) == (positions == 'absolute')


def test_scan_equals_a_loop_and_remat_keeps_gradients():
  def gradient(**kwargs):
    blocks, params = make(**kwargs)
    loss = lambda params: jnp.square(
      blocks.apply(params, X_BND, conditioning.Context(), train=True)
    ).mean()
    return compiled.jit(jax.grad(loss))(params)

  kept, again = gradient(), gradient(remat='full')
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5),
    kept,
    again,
  )
  blocks, params = make()
  single, _ = make(depth=1)
  layers = [jax.tree.map(lambda x, i=i: x[i : i + 1], params) for i in range(2)]
  x_bnd = apply(single, layers[1], apply(single, layers[0]))
  np.testing.assert_allclose(apply(blocks, params), x_bnd, atol=1e-5)
  x_bnd = apply(single, layers[0], apply(single, layers[1]))
  assert np.abs(apply(blocks, params) - x_bnd).max() > 1e-2


def test_dropout_is_only_on_in_training():
  blocks, params = make(dropout=0.5)
  drop = lambda seed: apply(
    blocks, params, train=True, rngs={'dropout': jax.random.key(seed)}
  )
  assert np.abs(drop(0) - drop(1)).max() > 1e-2
  plain = apply(make()[0], params)
  np.testing.assert_array_equal(apply(blocks, params), plain)
  # Decoding needs no random numbers.
  np.testing.assert_allclose(decode(blocks, params, 6), plain, atol=1e-5)


def test_errors_name_the_fault():
  with pytest.raises(ValueError, match='width is 12; it must be a multiple'):
    make(num_heads=5)
  with pytest.raises(ValueError, match="positions is 'rope'; it must be"):
    make_context('rope')
  with pytest.raises(
    ValueError, match=r"condition\['text'\] is given, but voc"
  ):
    make_context('rotary', 2, 0, TEXT)
