"""Terms of a generator's loss: flow, warped frames, masks and critics."""

from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core.types import Array
from vgen_jax.core.types import Batch
from vgen_jax.core.types import Condition
from vgen_jax.core.types import Metrics
from vgen_jax.families.adversarial import critics
from vgen_jax.families.translation import losses
from vgen_jax.nn import optical_flow
from vgen_jax.nn import translation
from vgen_jax.nn import warp

FLOW_SOURCES = ('data', 'matching', 'none')


class Clips(NamedTuple):
  """Real clips, and the generated continuation of their first frames.

  Attributes:
    video_bthwc: Real clips, in [-1, 1].
    flow_bthwx: Reference flow to the previous frame, in pixels; 0 in the first
      frame.
    frames: Generated frames, those after the given ones.
    fake_bthwc: The given frames, followed by generated ones.
    weight_bthw: Weight of each position of the real clips in errors; the mean
      is 1.
  """

  video_bthwc: Array
  flow_bthwx: Array
  frames: translation.Frame
  fake_bthwc: Array
  weight_bthw: Array


def reference_flow(source: str, batch: Batch) -> Array:
  """Returns the flow of real clips to the previous frame, in pixels.

  The flow has shape `[b, t, h, w, 2]` and is 0 in the first frame.

  Args:
    source: One of FLOW_SOURCES: 'data', the flow of the batch; 'matching',
      flow from block matching of the clips; 'none', zeros.
    batch: Real clips.

  Raises:
    ValueError: If the batch has no flow and 'data' needs it.
  """
  video_bthwc = batch['video']
  if source == 'matching':
    return optical_flow.block_matching(video_bthwc)
  if source == 'none':
    return jnp.zeros((*video_bthwc.shape[:-1], 2))
  if 'flow' not in batch:
    raise ValueError(
      "The batch has no 'flow', but model.flow_source is 'data'; use data with"
      " flow, or set it to 'matching' or 'none'."
    )
  return batch['flow']


def flow_and_mask(clips: Clips, num_context: int, *, has_flow: bool) -> Metrics:
  """Returns errors of flow and masks, over frames that have a previous one.

  Args:
    clips: Real and generated clips.
    num_context: Number of given frames.
    has_flow: Whether there is a reference flow.

  Returns:
    Scalars: 'warp', the difference between real frames and real previous frames
      that are warped by the network's flow; 'mask', the error of masks. With a
      reference flow also 'flow', the error of the network's flow, and
      'consistency', the difference between generated frames and generated
      previous frames that are warped by the reference flow; 'warp', 'flow' and
      'consistency' are then means over the pixels for which the reference flow
      maps the real previous frame to the real frame (`losses.matches`). All
      means are weighted by `weight_bthw` of the clips, and 'flow' is the mean
      of two such means (`losses.flow_error`). If the network warps a reference,
      also 'reference_warp' and 'reference_mask', the difference between real
      frames and the warped reference and the error of its mask, over all
      generated frames.
  """
  start = max(num_context, 1)
  # 1 if the first generated frame has no previous frame.
  skip = start - num_context
  video_bthwc = clips.video_bthwc[:, start:]
  before_bthwc = clips.video_bthwc[:, start - 1 : -1]
  flow_bthwx = clips.flow_bthwx[:, start:]
  own_flow_bthwx = clips.frames.previous.flow_bhwx[:, skip:]
  all_bthw = matched_bthw = clips.weight_bthw[:, start:]
  terms: Metrics = {}
  if has_flow:
    matched_bthw = all_bthw * losses.matches(
      before_bthwc, video_bthwc, flow_bthwx
    )
    terms['flow'] = losses.flow_error(own_flow_bthwx, flow_bthwx, matched_bthw)
    terms['consistency'] = losses.warp_error(
      clips.fake_bthwc[:, start - 1 : -1],
      clips.fake_bthwc[:, start:],
      flow_bthwx,
      matched_bthw,
    )
  terms['warp'] = losses.warp_error(
    before_bthwc, video_bthwc, own_flow_bthwx, matched_bthw
  )
  terms['mask'] = losses.mask_error(
    clips.frames.previous.mask_bhw[:, skip:],
    warp.backward(before_bthwc, own_flow_bthwx),
    video_bthwc,
    all_bthw,
  )
  reference = clips.frames.reference
  if reference is not None:
    target_bthwc = clips.video_bthwc[:, num_context:]
    weight_bthw = clips.weight_bthw[:, num_context:]
    terms['reference_warp'] = losses.pixel_error(
      reference.warped_bhwc, target_bthwc, weight_bthw
    )
    terms['reference_mask'] = losses.mask_error(
      reference.mask_bhw, reference.warped_bhwc, target_bthwc, weight_bthw
    )
  return terms


def critic_inputs(
  name: str, condition: Condition, clips: Clips, num_context: int
) -> tuple[critics.Clips, critics.Clips]:
  """Returns the real and the generated clips of a critic, with conditions.

  Real and generated clips have the same conditions.

  Args:
    name: 'video' or 'image'. A 'video' critic is given whole clips, which start
      with the given frames, and the reference flow. An 'image' critic is given
      the generated frames, followed by their new pixels before composition with
      warped ones, and the generator's conditions; its real clips contain the
      real frames twice.
    condition: Conditions of the generator.
    clips: Real and generated clips.
    num_context: Number of given frames.
  """
  if name == 'video':
    of_video = Condition(flow=clips.flow_bthwx)
    return (
      critics.Clips(clips.video_bthwc, of_video),
      critics.Clips(clips.fake_bthwc, of_video),
    )
  twice = lambda one, other: jnp.concatenate([one, other], axis=1)
  layout_bthw = condition['layout'][:, num_context:]
  of_frames = Condition(**condition)
  of_frames['layout'] = twice(layout_bthw, layout_bthw)
  real_bthwc = clips.video_bthwc[:, num_context:]
  fake_bthwc = twice(clips.frames.frame_bhwc, clips.frames.new_bhwc)
  return (
    critics.Clips(twice(real_bthwc, real_bthwc), of_frames),
    critics.Clips(fake_bthwc, of_frames),
  )


def against_critic(
  name: str,
  network: nn.Module,
  real: critics.Clips,
  fake: critics.Clips,
  key_b: Array,
  loss_kind: str,
  *,
  has_features: bool,
  train: bool,
) -> Metrics:
  """Returns the generator's loss and, if asked for, the feature distance.

  Their keys are 'adversarial_' and 'features_', followed by the critic's name.

  Args:
    name: Name of the critic.
    network: Critic, bound. Its batch statistics are not updated.
    real: Real clips.
    fake: Generated clips.
    key_b: Keys, one for each clip.
    loss_kind: One of `gan_losses.KINDS`, except 'relativistic'.
    has_features: Whether to compare features.
    train: Whether the critic's dropout is on.
  """
  if not has_features:
    logits_of = critics.unbound(network, fake.condition, key_b, train=train)
    logits = logits_of(fake.video_bthwc)
    return {f'adversarial_{name}': losses.generator(loss_kind, logits)}
  logits_of = critics.with_features(network, real.condition, key_b, train=train)
  logits, fake_features = logits_of(fake.video_bthwc)
  _, real_features = logits_of(real.video_bthwc)
  return {
    f'adversarial_{name}': losses.generator(loss_kind, logits),
    f'features_{name}': losses.feature_distance(real_features, fake_features),
  }
