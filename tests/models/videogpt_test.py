"""Tests of models/videogpt.py."""

import re

from flax import traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from vgen_jax.models import videogpt

GRID = (3, 2, 2)
CODES = arrays.integers((2, *GRID), 7)
CONDITION = {
  'label': np.array([1, 3]),
  'text': np.array([[1, 2], [4, 0]]),
  'text_mask': np.array([[True, True], [True, False]]),
}
CONDITIONED = dict(num_classes=3, vocab_size=5)


def make(**kwargs) -> videogpt.VideoGPT:
  return videogpt.VideoGPT(
    **dict(num_codes=7, width=16, depth=2, num_heads=2, dropout=0.0) | kwargs
  )


def random_params(model, condition=None, codes=CODES):
  rng = np.random.default_rng(0)
  return jax.tree.map(
    lambda x: np.float32(0.4 * rng.standard_normal(x.shape)),
    compiled.shapes(
      model, jax.random.key(0), codes, condition or {}, train=False
    ),
  )


def full(model, params, codes=CODES, condition=None, window=None):
  return compiled.apply(
    model, params, codes, condition or {}, train=False, window=window
  )


def by_one(model, params, codes=CODES, condition=None):
  """Returns logits of `decode_step` for the true codes."""
  b, t, h, w = codes.shape

  @compiled.jit
  def run(params):
    context, kv_cache = model.apply(
      params, condition or {}, b, GRID, t, 12, method='init_cache'
    )
    before_nb = jnp.roll(codes.reshape(b, -1), 1, axis=1).T  # No start code.

    def step(kv_cache, xs):
      logits_bk, kv_cache = model.apply(
        params, *xs, context, kv_cache, method='decode_step'
      )
      return kv_cache, logits_bk

    _, logits = jax.lax.scan(step, kv_cache, (before_nb, jnp.arange(t * h * w)))
    return logits.swapaxes(0, 1).reshape(b, t, h, w, -1)

  return run(params)


@pytest.mark.parametrize('positions', ['absolute', 'rotary'])
def test_cached_logits_equal_those_of_one_pass(positions):
  model = make(positions=positions, **CONDITIONED)
  params = random_params(model, CONDITION)
  whole = full(model, params, condition=CONDITION)
  assert np.abs(whole).max() > 0.5
  cached = by_one(model, params, condition=CONDITION)
  np.testing.assert_allclose(cached, whole, atol=1e-5)


def test_a_long_rollout_equals_one_pass_with_a_window():
  """Seven frames with a cache of three."""
  long = arrays.integers((2, 7, 2, 2), 7, 1)
  model = make(positions='rotary')
  params = random_params(model)
  cached = by_one(model, params, long)
  windowed = full(model, params, long, window=12)
  np.testing.assert_allclose(cached, windowed, atol=1e-5)
  endless = full(model, params, long)
  np.testing.assert_allclose(cached[:, :3], endless[:, :3], atol=1e-5)
  assert np.abs(cached[:, 3:] - endless[:, 3:]).max() > 1e-2
  init_cache = lambda frames: model.apply(
    params, {}, 2, GRID, frames, 12, method='init_cache'
  )[1]
  sizes = [
    jax.tree.map(lambda x: x.shape, jax.eval_shape(lambda n=n: init_cache(n)))
    for n in (3, 70)
  ]
  assert sizes[0] == sizes[1], 'The cache does not grow.'


def test_a_code_affects_only_later_logits():
  """The gradient of earlier logits to its embedding is exactly 0."""
  model = make()
  params = random_params(model)
  table = params['params']['code']['embedding']

  def logits(by_place_nd):
    class Given(videogpt.VideoGPT):
      def setup(self):
        super().setup()
        self.code = lambda codes: by_place_nd[None, : codes.shape[1]]

    given = Given(7, 16, 2, 2, dropout=0.0)
    return given.apply(params, CODES[:1], {}, train=False).reshape(12, 7)

  position = np.asarray(table)[CODES[0].reshape(-1)]
  matrix = np.abs(compiled.jit(jax.jacrev(logits))(position)).max((1, 3))
  for n in range(12):  # Row: logits at position n; column: code m.
    assert (matrix[n, n:] == 0).all()
    assert (matrix[n, :n] > 0).all()


def test_logits_are_zero_before_training_and_depend_on_the_start_token():
  model = make()
  initial = compiled.init(model, jax.random.key(0), CODES, {}, train=False)
  np.testing.assert_array_equal(full(model, initial), np.zeros((2, *GRID, 7)))
  params = random_params(model)
  first = full(model, params)[:, 0, 0, 0]
  np.testing.assert_array_equal(first[0], first[1])
  params['params']['start'] = -params['params']['start']
  assert np.abs(full(model, params)[:, 0, 0, 0] - first).max() > 1e-2


def test_parameter_count_equals_the_count_by_hand():
  """Width d = 576, 8 blocks, 2,048 codes, a grid of 4 x 32 x 32."""
  d, blocks, codes, grid = 576, 8, 2048, (4, 32, 32)
  block = 4 * d * d + d  # Query, key, value; out with a bias.
  block += 2 * 4 * d * d + 4 * d + d  # MLP.
  block += 2 * 2 * d  # Norms.
  rest = 2 * codes * d + d  # Embeddings, logits without bias, start.
  rest += sum(grid) * d // 3 + 2 * d  # Positions, last norm.
  assert block == 3_987_072
  assert blocks * block + rest == 34_270_656

  def count(**kwargs):
    model = videogpt.VideoGPT(codes, **kwargs)
    grid_codes = jax.ShapeDtypeStruct((1, *grid), jnp.int32)
    params = jax.eval_shape(
      lambda x: model.init(jax.random.key(0), x, {}, train=False), grid_codes
    )
    return sum(x.size for x in jax.tree.leaves(params))

  assert count() == 34_270_656
  # 101 labels and no label: two tables for the norms of a block, one for the
  # last norm.
  norms = 2 * blocks + 1
  assert count(num_classes=101) == 34_270_656 + norms * 2 * d * (102 - 1)


def test_tensor_rules_shard_attention_and_mlp_of_blocks():
  params = random_params(make(**CONDITIONED), CONDITION)['params']
  cut = {
    path: spec
    for path in traverse_util.flatten_dict(params, sep='/')
    for pattern, spec in videogpt.TENSOR_RULES
    if re.search(pattern, path)
  }
  for part in ('attention', 'word_attention'):
    for name in ('query', 'key', 'value'):
      path = f'stack/blocks/{part}/{name}/kernel'
      assert cut.pop(path) == (None, 'tensor')
    assert cut.pop(f'stack/blocks/{part}/out/kernel') == ('tensor', None)
  assert cut == {
    'stack/blocks/mlp_in/kernel': (None, 'tensor'),
    'stack/blocks/mlp_in/bias': ('tensor',),
    'stack/blocks/mlp_out/kernel': ('tensor', None),
  }


def test_bfloat16_is_close_to_float32():
  params = jax.tree.map(lambda x: 0.5 * x, random_params(make()))
  wide = full(make(), params)
  narrow = full(make(dtype='bfloat16'), params)
  assert narrow.dtype == jnp.float32
  assert 0 < np.abs(wide - narrow).max() / np.abs(wide).max() < 0.05


def test_absolute_positions_limit_the_number_of_frames():
  model = make()
  params = random_params(model)
  init_cache = lambda frames: model.apply(
    params, {}, 2, GRID, frames, 12, method='init_cache'
  )
  jax.eval_shape(lambda: init_cache(2))
  with pytest.raises(
    ValueError, match=r"4 frames .* build with positions 'rot"
  ):
    init_cache(4)


def test_logits_depend_on_the_order_of_words():
  model = make(**CONDITIONED)
  condition = {'text': np.array([[1, 2], [4, 3]])}
  params = random_params(model, condition)
  logits = full(model, params, condition=condition)
  swapped = full(model, params, condition={'text': condition['text'][:, ::-1]})
  assert np.isfinite(logits).all()
  assert (np.abs(swapped - logits).max((1, 2, 3, 4)) > 1e-3).all()
