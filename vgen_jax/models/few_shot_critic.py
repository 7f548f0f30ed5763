"""The critic of few-shot vid2vid, for patches of frames, given a reference.

Reference: Wang et al., "Few-shot Video-to-Video Synthesis", 2019,
https://arxiv.org/abs/1910.12713, section 3.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from vgen_jax.core.types import Array
from vgen_jax.core.types import Condition
from vgen_jax.models import vid2vid_critic


class Critic(vid2vid_critic.Critic):
  """A critic of frames that is also given the first reference of a clip.

  The first frame of this reference and its layout are further channels of each
  frame. Attributes are those of `vid2vid_critic.Critic`.
  """

  @nn.compact
  def __call__(
    self, video_bthwc: Array, condition: Condition, key_b: Array, *, train: bool
  ) -> list[Array]:
    """Returns logits `[b, t, h, w]` for each spatial scale.

    Args:
      video_bthwc: Clips.
      condition: Condition with 'layout' `[b, t, h, w]`, 'reference' `[b, n, t,
        h, w, c]` and 'reference_layout' `[b, n, t, h, w]`.
      key_b: Keys, one for each clip; not used.
      train: Whether vectors of spectral norm are updated.

    Raises:
      ValueError: If the condition lacks one of these.
    """
    keys = 'layout', 'reference', 'reference_layout'
    vid2vid_critic.check_condition(condition, keys, 'few_shot_critic.Critic')
    layout_bhwk = jax.nn.one_hot(
      condition['reference_layout'][:, 0, 0], self.num_segments
    )
    both_bhwc = jnp.concatenate(
      [condition['reference'][:, 0, 0], layout_bhwk], axis=-1
    )
    t = video_bthwc.shape[1]
    both_bthwc = jnp.repeat(both_bhwc[:, None], t, axis=1)
    shown = jnp.concatenate([video_bthwc, both_bthwc], axis=-1)
    return super().__call__(shown, condition, key_b, train=train)
