"""Tests of models/agvn.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from vgen_jax.models import agvn
from vgen_jax.nn import compositing
from vgen_jax.nn import warp

B, SHAPE = 2, (3, 16, 16, 3)
KEYS = arrays.keys(B)
FIRST = arrays.uniform((B, 1, *SHAPE[1:]), 1, low=-1)
AUDIO = arrays.normal((B, SHAPE[0], 4), 2)
LABEL = np.array([0, 1])
TEXT = np.array([[1, 2, 3], [4, 5, 0]])
TEXT_MASK = TEXT > 0
CONDITION = {
  'known_video': FIRST, 'label': LABEL, 'audio': AUDIO, 'text': TEXT,
  'text_mask': TEXT_MASK,
}  # fmt: skip
SIZES = {'num_classes': 2, 'audio_bands': 4, 'vocab_size': 6}
animate = compiled.jit(agvn.animate)


def generator(**fields) -> agvn.Generator:
  small = {'width': 4, 'latent_width': 2, 'motion_width': 5}
  return agvn.Generator(SHAPE, **small | fields)


def init(network, condition):
  variables = compiled.init(
    network, jax.random.key(3), KEYS, condition, train=False
  )
  # Larger kernels, so that dependencies are visible.
  return jax.tree.map(lambda x: 2 * x, variables)


def random_layers() -> agvn.Layers:
  """Returns layers whose mask is 0 in the left half."""
  key = jax.random.key(4)
  shape = (B, *SHAPE[:3])
  mask_bthw = jax.random.uniform(key, shape, minval=0.2)
  return agvn.Layers(
    mask_bthw=mask_bthw.at[..., :8].set(0),
    new_bthw=jax.random.uniform(jax.random.fold_in(key, 1), shape),
    color_bthwc=jnp.tanh(jax.random.normal(key, (*shape, 3))),
    flow_bthwx=3 * jax.random.normal(key, (*shape, 2)),
  )


def check_outside(video_bthwc):
  """Fails unless clips equal the first frame exactly where the mask is."""
  still = np.broadcast_to(FIRST, video_bthwc.shape)
  change_bthw = np.abs(video_bthwc - still).max(axis=-1)
  assert (change_bthw[..., :8] <= 1e-3).all()
  assert (change_bthw[..., 8:] > 1e-3).mean() > 0.9


def test_outside_of_the_mask_clips_equal_the_first_frame():
  layers = random_layers()
  check_outside(animate(FIRST, layers))
  still = np.broadcast_to(FIRST, layers.color_bthwc.shape)
  warped = compiled.call(warp.backward, still, layers.flow_bthwx)
  cheats = [  # Mask of ones or inverse mask, a copy, an unmasked warp.
    animate(FIRST, layers._replace(mask_bthw=np.ones_like(layers.mask_bthw))),
    animate(FIRST, layers._replace(mask_bthw=1 - layers.mask_bthw)),
    still,
    compositing.blend(layers.color_bthwc, warped, layers.mask_bthw),
  ]
  for video in cheats:
    with pytest.raises(AssertionError):
      check_outside(video)


def test_inside_of_the_mask_pixels_are_warped_or_new():
  layers = random_layers()
  ones = np.ones_like(layers.mask_bthw)
  layers = layers._replace(mask_bthw=ones)
  new = animate(FIRST, layers._replace(new_bthw=ones))
  np.testing.assert_allclose(new, layers.color_bthwc, atol=1e-6)
  warped = animate(FIRST, layers._replace(new_bthw=0 * ones))
  still = np.broadcast_to(FIRST, warped.shape)
  expected = compiled.call(warp.backward, still, layers.flow_bthwx)
  np.testing.assert_allclose(warped, expected, atol=1e-6)


def test_a_mask_of_zeros_keeps_the_frame_and_costs_nothing():
  network = generator()
  condition = {'known_video': FIRST}
  variables = init(network, condition)
  call = lambda variables: compiled.apply(
    network, variables, KEYS, condition, train=False
  )
  video, penalties = call(variables)
  # The first frame is always the given one.
  assert (video[:, :1] == FIRST).all()
  assert not np.allclose(video[:, 1:], FIRST, atol=1e-2)
  assert (penalties['mask'] > 0.005).all()
  assert (penalties['mask'] <= 0.1).all()
  head = dict(variables['params']['head'])
  head = jax.tree.map(np.copy, head)
  head['bias'][0] = -100
  head['kernel'][..., 0] = 0
  params = {**variables['params'], 'head': head}
  video, penalties = call({'params': params})
  assert (video == np.broadcast_to(FIRST, video.shape)).all()
  assert (penalties['mask'] == 0).all()


def test_clips_depend_on_their_own_conditions():
  network = generator(**SIZES)
  variables = init(network, CONDITION)
  apply = compiled.jit(
    lambda condition: network.apply(variables, KEYS, condition, train=False)[0]
  )
  video = apply(CONDITION)
  changes = {
    'label': arrays.put(LABEL, 0, 1),
    'audio': arrays.put(AUDIO, 0, 5),
    'text': arrays.put(TEXT, 0, 5),
    'known_video': arrays.put(FIRST, 0, 0.5),
  }
  for key, changed in changes.items():
    difference = np.abs(apply({**CONDITION, key: changed}) - video)
    differs_b = difference.max(axis=(1, 2, 3, 4)) > 1e-4
    assert differs_b.tolist() == [True, False], key
  # Text beyond the mask has no effect.
  hidden = apply({**CONDITION, 'text': arrays.put(TEXT, (1, 2), 3)})
  np.testing.assert_allclose(hidden, video, atol=1e-5)


def test_a_frame_depends_on_no_later_audio():
  network = generator(audio_bands=4)
  condition = {'known_video': FIRST, 'audio': AUDIO}
  variables = init(network, condition)
  apply = compiled.jit(
    lambda audio: network.apply(
      variables, KEYS, {**condition, 'audio': audio}, train=False
    )[0]
  )
  video = apply(AUDIO)
  for frame in (1, 2):
    difference = np.abs(apply(arrays.add(AUDIO, np.s_[:, frame], 1)) - video)
    difference_t = difference.max(axis=(0, 2, 3, 4))
    assert difference_t[:frame].max() <= 1e-6
    assert difference_t[frame] > 1e-4


def test_ranges_of_layers_and_weight_of_the_mask():
  network = generator(max_flow=0.125, mask_weight=0.3)
  condition = {'known_video': FIRST}
  variables = jax.tree.map(lambda x: 30 * x, init(network, condition))
  layers = compiled.jit(
    lambda: network.apply(variables, KEYS, condition, method='layers')
  )()
  # A side has 16 pixels; kernels are so large that values reach their limits.
  assert 1.9 < np.abs(layers.flow_bthwx).max() <= 2
  assert 0.9 < np.abs(layers.color_bthwc).max() <= 1
  for weight_bthw in (layers.mask_bthw, layers.new_bthw):
    assert 0 <= weight_bthw.min() < 0.1
    assert 0.9 < weight_bthw.max() <= 1
  video, penalties = compiled.jit(
    lambda: network.apply(variables, KEYS, condition, train=False)
  )()
  np.testing.assert_allclose(
    video, animate(FIRST, layers), rtol=1e-4, atol=1e-4
  )
  np.testing.assert_allclose(
    penalties['mask'], 0.3 * layers.mask_bthw.mean(axis=(1, 2, 3)), rtol=1e-4
  )


def test_clips_are_float32_if_products_are_bfloat16():
  network = generator(dtype='bfloat16', **SIZES)
  (video, penalties), _ = jax.eval_shape(
    lambda: network.init_with_output(
      jax.random.key(3), KEYS, CONDITION, train=False
    )
  )
  assert video.shape == (B, *SHAPE)
  assert video.dtype == penalties['mask'].dtype == jnp.float32


@pytest.mark.parametrize(
  ('fields', 'condition', 'match'),
  [
    ({'clip_shape': (3, 8, 16, 3)}, None, '8 x 16'),
    ({'latent_width': 0}, None, 'nothing would differ'),
    ({'audio_bands': 4}, {'known_video': FIRST}, r"needs \['audio', 'known"),
    ({}, {'known_video': FIRST, 'audio': AUDIO}, 'audio_bands 0'),
    ({}, {}, r"needs \['known_video'\]"),
    ({}, {'known_video': FIRST.repeat(2, 1)}, 'num_context to 1'),
    ({'num_classes': 2}, {'known_video': FIRST}, 'num_classes of agvn'),
  ],
)
def test_wrong_fields_and_conditions(fields, condition, match: str):
  make = lambda: agvn.Generator(**{'clip_shape': SHAPE} | fields)
  with pytest.raises(ValueError, match=match):
    jax.eval_shape(lambda: init(make(), condition))


@pytest.mark.parametrize('rate', [-0.1, 1.0, np.nan])
def test_some_clips_must_have_their_own_mask(rate):
  with pytest.raises(ValueError, match=r'open_rate is .* less than 1'):
    generator(open_rate=rate)


def test_in_training_some_clips_have_an_open_mask():
  network = generator(open_rate=0.4)
  num = 64
  first = np.repeat(FIRST[:1], num, axis=0)
  condition = {'known_video': first}
  variables = init(generator(), {'known_video': FIRST})
  key_b = arrays.keys(num)

  @compiled.jit
  def run(key_b):
    apply = lambda **kwargs: network.apply(
      variables, key_b, condition, **kwargs
    )
    trained, terms = apply(train=True)
    sampled, _ = apply(train=False)
    return trained, terms['mask'], sampled, apply(method='layers')

  trained, penalty_b, sampled, layers = run(key_b)
  ones_bthw = np.ones_like(layers.mask_bthw)
  ones_bthw[:, 0] = 0
  opened = animate(first, layers._replace(mask_bthw=ones_bthw))
  close = lambda one, two: (np.abs(one - two) < 1e-5).all(axis=(1, 2, 3, 4))
  is_open_b = close(trained, opened)
  np.testing.assert_array_equal(close(trained, sampled), ~is_open_b)
  assert 0.2 < is_open_b.mean() < 0.6
  np.testing.assert_allclose(  # Of the mask of the network.
    penalty_b, 0.1 * layers.mask_bthw.mean(axis=(1, 2, 3)), rtol=1e-4
  )
  # The draw depends on the key of the clip only.
  reverse, *_ = run(arrays.take_keys(key_b, slice(None, None, -1)))
  np.testing.assert_allclose(reverse[::-1], trained, atol=1e-5)


def test_before_training_the_mask_is_open_and_clips_are_nearly_still():
  network = generator(**SIZES)
  ramp_w = np.linspace(-1, 1, SHAPE[2], dtype=np.float32)
  first = np.broadcast_to(ramp_w[:, None], FIRST.shape)  # Without noise.
  condition = CONDITION | {'known_video': first}
  variables = compiled.init(
    network, jax.random.key(3), KEYS, condition, train=False
  )
  layers = compiled.jit(
    lambda: network.apply(variables, KEYS, condition, method='layers')
  )()
  assert layers.mask_bthw[:, 1:].min() > 0.3
  change = lambda layers: np.abs(animate(first, layers) - first).mean()
  assert change(layers) < 0.03
  assert change(layers._replace(flow_bthwx=layers.flow_bthwx + 4)) > 0.1
  assert change(layers._replace(new_bthw=layers.new_bthw + 0.5)) > 0.06


def test_loudness_changes_layers():
  """Log powers, without a scale, would saturate the recurrent network."""
  network = generator(audio_bands=16, motion_width=32)
  quiet = np.full((B, SHAPE[0], 16), -7, np.float32)  # A typical log power.
  loud = quiet + 1.5
  condition = {'known_video': FIRST, 'audio': quiet}
  variables = compiled.init(
    network, jax.random.key(3), KEYS, condition, train=False
  )

  @compiled.jit
  def flow(audio):
    return network.apply(
      variables, KEYS, condition | {'audio': audio}, method='layers'
    ).flow_bthwx

  change = lambda one, two: np.abs(flow(one) - flow(two)).mean()
  # The same change far from log powers has little effect.
  assert change(quiet, loud) > 2 * change(quiet - 40, loud - 40)
  assert change(quiet, loud) > 0.05 * np.abs(flow(quiet)).mean()
