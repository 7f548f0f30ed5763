"""A small AGVN learns to open mouths sooner if some masks are open."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vgen_jax.core import pixels
from vgen_jax.models import agvn
from vgen_jax.synthetic import saturation
from vgen_jax.synthetic.face import source

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures('optimizes')]

SHAPE = (8, 16, 16, 3)
NUM_HELD_OUT = 64


@pytest.fixture(scope='module')
def clips() -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
  """Returns clips in [-1, 1], their conditions, and openings of mouths."""
  world = source.Face(SHAPE)
  found = [world[i] for i in range(1024)]
  stacked = {key: np.stack([x[key] for x in found]) for key in found[0]}
  video = pixels.to_float(stacked.pop('video'))
  condition = stacked | {'known_video': video[:, :1]}
  opening = np.stack([world.truth(i).opening_t for i in range(len(found))])
  return video, condition, opening


def trained(clips, open_rate: float) -> tuple[float, float]:
  """Returns the error of held-out clips and the correlation of mouths.

  The error is relative to that of still clips. Only the absolute error and the
  penalty of the mask are minimized, for 300 steps of 16 clips.
  """
  video, condition, opening = clips
  network = agvn.Generator(
    SHAPE,
    num_classes=4,
    audio_bands=16,
    width=32,
    motion_width=32,
    latent_width=4,
    open_rate=open_rate,
  )
  of = lambda index: {key: x[index] for key, x in condition.items()}
  keys = lambda step, num: jax.random.split(
    jax.random.fold_in(jax.random.key(0), step), num
  )
  init = jax.jit(
    lambda key_b, given: network.init(key_b[0], key_b, given, train=True)
  )
  params = init(keys(0, 16), of(slice(16)))
  optimizer = optax.adam(1e-3, b1=0.5)
  state = optimizer.init(params)

  @jax.jit
  def update(params, state, key_b, given, wanted):
    def loss(params):
      made, terms = network.apply(params, key_b, given, train=True)
      return 100 * jnp.abs(made - wanted).mean() + terms['mask'].mean()

    changes, state = optimizer.update(jax.grad(loss)(params), state)
    return optax.apply_updates(params, changes), state

  rng = np.random.default_rng(0)
  for step in range(300):
    index = rng.integers(0, len(video) - NUM_HELD_OUT, 16)
    params, state = update(
      params, state, keys(step, 16), of(index), video[index]
    )
  held_out = slice(-NUM_HELD_OUT, None)
  sample = jax.jit(
    lambda key_b, given: network.apply(params, key_b, given, train=False)[0]
  )
  made = np.asarray(sample(keys(0, NUM_HELD_OUT), of(held_out)))
  error = lambda x: np.abs(x - video[held_out]).mean()
  levels = saturation.to_levels(pixels.to_uint8(made))
  red_bt = np.maximum(levels[..., 0] - levels[..., 1] - 60, 0).sum((2, 3))
  correlation = np.corrcoef(
    red_bt[:, 1:].ravel(), opening[held_out][:, 1:].ravel()
  )[0, 1]
  return error(made) / error(video[held_out][:, :1]), correlation


def test_mouths_follow_the_sound(clips):
  """Measured: an error of 0.69 and a correlation of 0.65."""
  error, correlation = trained(clips, open_rate=0.5)
  assert error < 0.85
  assert correlation > 0.4


def test_without_open_masks_clips_stay_still(clips):
  """Measured: an error of 1.00 and a correlation of 0.01."""
  error, correlation = trained(clips, open_rate=0.0)
  assert error > 0.95
  assert abs(correlation) < 0.2
