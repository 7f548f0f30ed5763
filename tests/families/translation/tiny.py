"""A translator and a critic with few parameters, and clips, for tests."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from tests import arrays
from tests import compiled
from vgen_jax.families.translation import video_to_video
from vgen_jax.nn import translation
from vgen_jax.nn.convolution import pyramids

B, SHAPE = 2, (5, 6, 6, 1)
KEY = jax.random.key(0)
LAYOUT = arrays.integers((B, *SHAPE[:3]), 3, 1)
VIDEO = arrays.uniform((B, *SHAPE), 2, low=-1)
FLOW = arrays.put(arrays.normal((B, *SHAPE[:3], 2), 3), np.s_[:, 0], 0)
BATCH = {
  'video': VIDEO, 'layout': LAYOUT, 'flow': FLOW,
  'position': np.arange(B), 'step': np.zeros(B, int),
}  # fmt: skip


class Translator(translation.Translator):
  """New pixels from layouts and previous frames; constant flow and mask."""

  num_segments: int = 3
  moves_reference: bool = False

  @nn.compact
  def __call__(self, window, encoded, *, train):
    one = lambda name, value, shape=(): self.param(
      name, nn.initializers.constant(value), shape
    )
    count = self.num_previous
    weights_l = one('layout', 0.2, (count + 1,)) * jnp.arange(1, count + 2)
    weights_m = one('previous', 0.3, (count,)) * jnp.arange(1, count + 1)
    new_bhwc = jnp.einsum('l,blhw->bhw', weights_l, window.layout_blhw)[
      ..., None
    ]
    new_bhwc += jnp.einsum('m,bmhwc->bhwc', weights_m, window.previous_bmhwc)
    new_bhwc = jnp.tanh(one('new', 0.1) + new_bhwc)
    shape = new_bhwc.shape[:-1]
    flow = jnp.broadcast_to(one('flow', 0.5, (2,)), (*shape, 2))
    mask = nn.sigmoid(jnp.broadcast_to(one('mask', 0.4), shape))
    moved = translation.warp_previous(window, flow, mask)
    frame = translation.compose(new_bhwc, moved)
    reference = None
    if self.moves_reference:
      reference = translation.Warped(flow, frame * one('ref', 0.5), mask)
    return translation.Frame(frame, new_bhwc, moved, reference)


class Critic(nn.Module):
  """A critic of the mean of its features, without a nonlinear last layer."""

  @nn.compact
  def __call__(self, video_bthwc, condition, key_b, *, train):
    weight = self.param('weight', nn.initializers.constant(2.0), ())
    x = pyramids.Down((3,), (1, 4, 4), 'none')(video_bthwc, train=train)
    return [weight * x.mean((2, 3, 4)), x.mean((1, 2, 3, 4))]


class Recorder(nn.Module):
  """A critic that returns its inputs as logits."""

  @nn.compact
  def __call__(self, video_bthwc, condition, key_b, *, train):
    weight = self.param('weight', nn.initializers.ones_init(), ())
    return weight * video_bthwc


def model(translator=None, critic=None, **fields):
  """Returns a family of tiny networks."""
  critic = critic or {'image': Critic(), 'video': Critic()}
  return video_to_video.VideoToVideo(
    SHAPE, translator or Translator(SHAPE), critic, **fields
  )


def variables(net, batch=None):
  """Returns variables of a family."""
  rngs = {'params': KEY, 'noise': KEY}
  return compiled.init(net, rngs, batch or BATCH)


def loss(net, params, player='generator', batch=None, train=False):
  """Returns a loss and its terms."""
  return compiled.apply(
    net,
    {'params': params},
    batch or BATCH,
    player=player,
    train=train,
    rngs={'noise': KEY},
    method='loss',
  )
