"""Sequential VAEs that generate clips from attributes."""

import jax
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core import random
from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.core.types import Batch
from vgen_jax.core.types import Condition
from vgen_jax.core.types import Metrics
from vgen_jax.families.prediction import known_frames
from vgen_jax.families.prediction import latent_roll_out
from vgen_jax.families.prediction import sequential
from vgen_jax.nn import attributes

UNKNOWN = -1  # Value of an attribute that is to be inferred.

# Purposes of a clip's key.
_POSTERIOR, _PRIOR, _ATTRIBUTES = range(3)


class Holistic(sequential.SequentialVAE):
  """A sequential VAE that generates clips, controlled by their attributes.

  A label encodes the values of several attributes, such as a colour and a
  direction. A blank frame precedes each clip, so that the first frame is
  predicted in the same way as the others. The loss is

    the negative bound of `SequentialVAE`, over all frames
    + attribute_weight * cross-entropy of the inferred attributes

  Attributes are inferred from the first i frames, for each i from 0 to t. The
  cross-entropy is in nats, summed over attributes, and averaged over clips and
  over i. So attributes can also be inferred from only the first frame.

  Clips are generated from a label, from known first frames, or from both.
  Without a label, attributes are sampled from the distribution that is inferred
  from the known frames. `sample_with_attributes` generates clips whose
  attributes change over time, or of which only some are given.

  Attributes:
    predictor: A network like `models.videovae.VideoVAE`: a `LatentPredictor`
      with `predict_all`, `sizes` and `attribute_logits`, whose `condition_bk`
      are the one-hot attributes of the frame to predict.
    num_context: Number of first frames that are given in sampling, unless the
      condition states otherwise; 0 for none.
    attribute_weight: Weight of the cross-entropy.
    infer_attributes: Whether the predictor is trained with attributes that are
      inferred from the whole clip. If False, they are those of the label.

  Reference: He et al., "Probabilistic Video Generation using Holistic Attribute
  Control", ECCV 2018, https://arxiv.org/abs/1803.08085. Deviation: attributes
  are inferred by a part that is trained in the same steps, instead of before.
  """

  num_context: int = 0
  attribute_weight: float = 1e-2
  infer_attributes: bool = False

  def __post_init__(self):
    super().__post_init__()
    last = self.clip_shape[0] - 1
    checks.in_range('model.num_context', self.num_context, 0, last)
    checks.at_least('model.attribute_weight', self.attribute_weight, 0)
    if not hasattr(self.predictor, 'attribute_logits'):
      raise ValueError(
        f'model.predictor is {type(self.predictor).__name__}, which infers no'
        ' attributes; Holistic needs a predictor with attribute_logits, such as'
        ' models.videovae.VideoVAE.'
      )

  @property
  def condition_keys(self) -> tuple[str, ...]:
    return ('label', 'known_video', 'known')

  @property
  def num_known(self) -> int:
    return self.num_context

  def loss(
    self, batch: Batch, *, player: str, train: bool
  ) -> tuple[Array, Metrics]:
    del player  # There is only one.
    if 'label' not in batch:
      raise ValueError(
        f'The batch has the keys {sorted(batch)}; Holistic needs labels of'
        ' attributes: set config.data.label.'
      )
    video_bthwc = _with_blank(batch['video'])
    b, t = shapes.sizes('bt', video_bthwc=video_bthwc)
    key_b = self.clip_keys(batch)
    value_bn = attributes.values(batch['label'], self.predictor.sizes)
    logits = self.predictor.attribute_logits(video_bthwc, train=train)
    entropy, accuracies = 0.0, {}
    for i, logit_btk in enumerate(logits):
      value_b = value_bn[:, i]
      log_p_btk = jax.nn.log_softmax(logit_btk)
      log_p_bt = jnp.take_along_axis(log_p_btk, value_b[:, None, None], -1)
      entropy -= log_p_bt.mean()
      hit_b = logit_btk[:, -1].argmax(-1) == value_b
      accuracies[f'accuracy_attribute_{i}'] = hit_b.astype(jnp.float32).mean()
    if self.infer_attributes:
      last_b = jnp.full(b, t - 1)
      value_bn = attributes.sample(
        logits, last_b, random.fold_in(key_b, _ATTRIBUTES)
      )
    # The attributes of a clip are those of each of its frames.
    value_btn = jnp.repeat(value_bn[:, None], t - 1, axis=1)
    noise_btd = latent_roll_out.noise(
      self.predictor, random.fold_in(key_b, _POSTERIOR), t
    )
    prediction = self.predictor.predict_all(
      video_bthwc,
      noise_btd,
      attributes.one_hot(value_btn, self.predictor.sizes),
      num_context=1,
      train=train,
    )
    shapes.check_output(
      'predictor', self.predictor, prediction.frame_bhwc, batch['video'].shape
    )
    loss, terms = self.negative_bound(batch, prediction, first=0)
    terms |= {'attribute_entropy': entropy, **accuracies}
    return loss + self.attribute_weight * entropy, terms

  def sample_unclipped(self, key_b: Array, condition: Condition) -> Array:
    """Generates clips; see the base class.

    Args:
      key_b: Keys, one for each clip.
      condition: Condition that may have `label`, which gives all attributes,
        and `known_video`, whose first `num_context` frames are inputs. If
        `known` is given, inputs are the frames in which it is True everywhere.
        All known pixels are returned unchanged.

    Raises:
      ValueError: If a key is not in `condition_keys`, or there is `known`
        without `known_video`.
    """
    t = self.clip_shape[0]
    if 'known_video' in condition:
      t = condition['known_video'].shape[1]
    sizes = self.predictor.sizes
    value_bn = jnp.full((len(key_b), len(sizes)), UNKNOWN)
    if 'label' in condition:
      value_bn = attributes.values(condition['label'], sizes)
    value_btn = jnp.repeat(value_bn[:, None], t, axis=1)
    return self.sample_with_attributes(key_b, condition, value_btn)

  def sample_with_attributes(
    self, key_b: Array, condition: Condition, value_btn: Array
  ) -> Array:
    """Generates clips with attributes for each frame, which may change.

    Args:
      key_b: Keys, one for each clip.
      condition: As in `sample_unclipped`; its label is not used.
      value_btn: Values of the n attributes in each frame, int `[b, t, n]`;
        `UNKNOWN` for those to infer from the known first frames.

    Raises:
      ValueError: If a key is not in `condition_keys`, there is `known` without
        `known_video`, or `value_btn` has the wrong shape.
    """
    self.check_condition(condition)
    if 'known' in condition and 'known_video' not in condition:
      raise ValueError(
        "condition has 'known', but no 'known_video'; give the clips whose"
        ' pixels are known.'
      )
    sizes = self.predictor.sizes
    b, t, n = shapes.sizes('btn', value_btn=value_btn)
    frames = condition.get('known_video')
    wanted = (len(key_b), t if frames is None else frames.shape[1], len(sizes))
    if (b, t, n) != wanted:
      raise ValueError(
        f'value_btn has shape {(b, t, n)}; it must be {wanted}: a value of each'
        ' attribute for each frame of each clip.'
      )
    video_bthwc, known_bt = self._known(condition, (b, t))
    # Frames that are not known must not have an effect.
    known = known_bt[:, :, None, None, None]
    video_bthwc = jnp.where(known, video_bthwc, 0)
    masks = latent_roll_out.known_only(known_bt)
    num_known_b = jnp.cumprod(known_bt, axis=1).sum(1)
    inferred_bn = attributes.sample(
      self.predictor.attribute_logits(video_bthwc),
      num_known_b - 1,
      random.fold_in(key_b, _ATTRIBUTES),
    )
    value_btn = jnp.where(value_btn < 0, inferred_bn[:, None], value_btn)
    prediction = latent_roll_out.roll_out(
      self.predictor,
      video_bthwc,
      masks,
      latent_roll_out.noise(
        self.predictor, random.fold_in(key_b, _PRIOR), t + 1
      ),
      attributes.one_hot(value_btn, sizes),
    )
    frames_bthwc = prediction.frame_bhwc
    if frames is None:
      return frames_bthwc
    kept = known_bt[:, 1:, None, None, None]
    if 'known' in condition:
      kept |= condition['known']
    return jnp.where(kept, frames, frames_bthwc)

  def _known(
    self, condition: Condition, shape_bt: tuple[int, int]
  ) -> tuple[Array, Array]:
    """Returns clips after a blank frame, and which of their frames are known.

    The second result is bool `[b, t + 1]`; the blank frame is known.

    Args:
      condition: As in `sample_unclipped`.
      shape_bt: Number of clips, and of frames without the blank one.
    """
    b, t = shape_bt
    if 'known_video' not in condition:
      blank_bthwc = jnp.zeros((b, t + 1, *self.clip_shape[1:]))
      return blank_bthwc, jnp.zeros((b, t + 1), bool).at[:, 0].set(True)
    later: Condition = {'known_video': _with_blank(condition['known_video'])}
    if 'known' in condition:
      known = condition['known']
      yes = jnp.ones((b, 1, *known.shape[2:]), bool)
      later['known'] = jnp.concatenate([yes, known], axis=1)
    return known_frames.split(later, self.num_context + 1)


def _with_blank(video_bthwc: Array) -> Array:
  """Returns clips after a blank frame, which is grey."""
  blank_bthwc = jnp.zeros_like(video_bthwc[:, :1])
  return jnp.concatenate([blank_bthwc, video_bthwc], axis=1)
