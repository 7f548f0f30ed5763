"""The critics of vid2vid, for patches of frames and of sequences of frames.

Reference: Wang et al., "Video-to-Video Synthesis", 2018,
https://arxiv.org/abs/1808.06601, section 3.2.

Deviation from the released code: sequences at a rate n start at every frame,
not at every n-th.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core.types import Array
from vgen_jax.core.types import Condition
from vgen_jax.core.types import Count
from vgen_jax.core.types import Size
from vgen_jax.models import conv_critic
from vgen_jax.nn import optical_flow

INPUTS = ('image', 'video')


class Critic(nn.Module):
  """Critics of patches, at several spatial scales and frame rates.

  An 'image' critic classifies each frame, given its layout. A 'video' critic
  classifies every sequence of `num_frames` frames, given the flow between them;
  at rate n, a sequence consists of the frames i, i + n, i + 2 n, ...

  Attributes:
    inputs: 'image' or 'video'.
    num_scales: Number of spatial scales; each after the first has half the
      height and width of the one before.
    rates: Distances in frames between two frames of a sequence, 1 or more each.
      Each rate has its own network. Only for a 'video' critic.
    num_frames: Number of frames in a sequence of a 'video' critic, 2 or more.
    flow_scale: Divisor of the flow, in pixels, before it is an input.
    num_segments: Number of classes of layouts.
    width: Channels of the first layer.
    num_layers: As in `conv_critic.ConvCritic`.
    norm: As in `conv_critic.ConvCritic`.
    dtype: Dtype of the computation; parameters are float32.
  """

  uses_labels = False

  inputs: str = 'image'
  num_scales: Size = 2
  rates: tuple[int, ...] = (1,)
  num_frames: int = 3
  flow_scale: float = 20.0
  num_segments: int = 0
  width: Size = 64
  num_layers: Count = 0
  norm: str = 'none'
  dtype: str = 'float32'

  def __post_init__(self):
    super().__post_init__()
    checks.one_of('inputs', self.inputs, INPUTS)
    checks.at_least('num_scales', self.num_scales, 1)
    checks.at_least('num_frames', self.num_frames, 2)
    if not self.rates or min(self.rates) < 1:
      raise ValueError(
        f'rates is {self.rates}; it must have one integer or more, each 1 or'
        ' more, such as (1, 2).'
      )
    if self.inputs == 'image' and tuple(self.rates) != (1,):
      raise ValueError(
        f"rates is {self.rates}, but a critic with inputs 'image' classifies"
        ' single frames; leave rates out.'
      )

  @nn.compact
  def __call__(
    self, video_bthwc: Array, condition: Condition, key_b: Array, *, train: bool
  ) -> list[Array]:
    """Returns logits `[b, n, h, w]` for each rate and spatial scale.

    The list has all scales of the first rate, then those of the second, ...

    Args:
      video_bthwc: Clips.
      condition: Condition with 'layout', int32 `[b, t, h, w]`, for an 'image'
        critic, or 'flow', `[b, t, h, w, 2]` in pixels, for a 'video' critic.
      key_b: Keys, one for each clip; not used.
      train: Whether vectors of spectral norm are updated.

    Raises:
      ValueError: If there are fewer frames than a sequence needs, or the
        condition lacks what the critic needs.
    """
    key = 'layout' if self.inputs == 'image' else 'flow'
    check_condition(condition, (key,), f'Critic with inputs {self.inputs!r}')
    logits = []
    for rate in self.rates:
      if self.inputs == 'image':
        layout_bthwk = jax.nn.one_hot(condition['layout'], self.num_segments)
        x_bnhwc = jnp.concatenate([video_bthwc, layout_bthwk], axis=-1)
      else:
        x_bnhwc = sequences(
          video_bthwc,
          condition['flow'] / self.flow_scale,
          self.num_frames,
          rate,
        )
      for scale in range(self.num_scales):
        network = conv_critic.ConvCritic(
          view='stack',
          space_scale=2**scale,
          width=self.width,
          norm=self.norm,
          patches=True,
          num_layers=self.num_layers,
          dtype=self.dtype,
          name=f'rate_{rate}_scale_{scale}',
        )
        logits.append(network(x_bnhwc, {}, key_b, train=train))
    return logits


def check_condition(
  condition: Condition, keys: tuple[str, ...], critic: str
) -> None:
  """Raises ValueError if a condition lacks keys that a critic needs."""
  missing = [key for key in keys if key not in condition]
  if missing:
    raise ValueError(
      f'The condition of a critic has the keys {sorted(condition)}; {critic}'
      f' also needs {missing}. In VideoToVideo, model.critic.image is given'
      " layouts, and references if there are any, and needs inputs='image';"
      " model.critic.video is given the flow, and needs inputs='video'. For"
      ' other models take another critic, such as'
      ' models.conv_critic.ConvCritic.'
    )


def sequences(
  video_bthwc: Array, flow_bthwx: Array, num_frames: int, rate: int
) -> Array:
  """Returns all sequences of frames of a clip, stacked as channels.

  The result is `[b, n, h, w, c']` for n sequences. Its channels are those of
  the `num_frames` frames of a sequence, and then the flow from each frame but
  the first to the frame before it in the sequence.

  Args:
    video_bthwc: Clips.
    flow_bthwx: Flow from each frame to the previous one; 0 in the first frame.
    num_frames: Number of frames in a sequence, 2 or more.
    rate: Distance in frames between two frames of a sequence, 1 or more.

  Raises:
    ValueError: If clips are shorter than a sequence.
  """
  span = (num_frames - 1) * rate
  if (t := video_bthwc.shape[1]) <= span:
    raise ValueError(
      f'Clips have {t} frames; a sequence of {num_frames} frames with rate'
      f' {rate} needs {span + 1} or more. Use longer clips, or smaller'
      ' num_frames and rates.'
    )
  flow_bthwx = optical_flow.accumulate(flow_bthwx, rate)
  starts = range(0, span + 1, rate)
  frames = [video_bthwc[:, i : t - span + i] for i in starts]
  flows = [flow_bthwx[:, i : t - span + i] for i in starts[1:]]
  return jnp.concatenate(frames + flows, axis=-1)
