"""Latent models: a model of the latents or codes of a frozen tokenizer."""

import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core import modalities
from vgen_jax.core.types import Array
from vgen_jax.core.types import Batch
from vgen_jax.core.types import Condition
from vgen_jax.core.types import Metrics
from vgen_jax.families import base
from vgen_jax.families.base import VideoModel

_LOSSES = ('loss', 'penalty')


class Latent(VideoModel):
  """A model of a tokenizer's latents or codes, and through it of clips.

  The tokenizer is the part `autoencoder`. Another run trains it; this one loads
  it and keeps it frozen: `config.frozen = {'autoencoder': workdir}`. The parts
  of the prior are parts of this model, under their own names, and the players
  of the prior are its only players.

  A prior over codes is trained on the tokenizer's codes. Any other prior is
  trained on its latents as if they were clips; they are standardized to mean 0
  and standard deviation 1 in each channel, by the mean and standard deviation
  that the tokenizer tracked in its own training. Generated latents are
  quantized to the codebook, if there is one.

  A prior over codes can be conditioned on known pixels (`known_video` where
  `known` is True). It is given those codes whose pixels are all known; the
  tokenizer encodes the clip with each unknown pixel at its last known value.
  Known pixels are returned unchanged. If the prior generates more frames than a
  clip has, it continues the known frames.

  A batch may have `codes` or `latents` in place of `video`, as stored by
  data/encoded.py: then nothing is encoded again.

  Attributes:
    autoencoder: Tokenizer, an `Autoencoder` of nn/bottlenecks/autoencoder.py.
    prior: Model of the latents or codes. Its `clip_shape` becomes that of the
      latents.
  """

  autoencoder: nn.Module
  prior: VideoModel

  def __post_init__(self):
    shape = self.autoencoder.latent_shape(self.clip_shape)
    if self.prior.clip_shape != shape:
      self.prior = self.prior.clone(clip_shape=shape)
    _check(self)
    super().__post_init__()

  def setup(self):
    nn.share_scope(self, self.prior)

  @property
  def updates(self) -> tuple[base.Update, ...]:
    return self.prior.updates

  @property
  def condition_keys(self) -> tuple[str, ...]:
    keys = modalities.without_target(self.prior.condition_keys)
    known = modalities.row('known_video').keys if self._is_discrete else ()
    return (*keys, *known)

  @property
  def batch_keys(self) -> tuple[str, ...]:
    # The loss encodes pixels, unless a batch is encoded already.
    return ('video', 'codes', 'latents', *self.prior.batch_keys)

  @property
  def supported_tasks(self) -> tuple[str, ...]:
    predicts = ('predict',) if self._is_discrete else ()
    return ('generate', *predicts, 'reconstruct')

  def __call__(self, batch: Batch) -> list[tuple[Array, Metrics]]:
    # Creates the decoder's parameters too, also from codes or latents.
    num_clips = len(next(iter(batch.values())))
    blank_bthwc = jnp.zeros((num_clips, *self.clip_shape))
    self.autoencoder(batch.get('video', blank_bthwc))
    return super().__call__(batch)

  def loss(
    self, batch: Batch, *, player: str, train: bool
  ) -> tuple[Array, Metrics]:
    return self.prior.loss(self._encoded(batch), player=player, train=train)

  def penalty(
    self, batch: Batch, *, player: str, train: bool
  ) -> tuple[Array, Metrics]:
    """Returns the `penalty` of the prior, as (loss, terms).

    Only priors that have an update with this loss need it, such as a GAN with
    lazy regularization.
    """
    return self.prior.penalty(self._encoded(batch), player=player, train=train)

  def sample_unclipped(self, key_b: Array, condition: Condition) -> Array:
    self.check_condition(condition)
    if len(known := condition.keys() & {'known_video', 'known'}) == 1:
      raise ValueError(
        f'condition has {known}, but a partly known clip needs both'
        " 'known_video' and 'known'; give both, or neither."
      )
    if not self._is_discrete:
      latent_bthwd = self.prior.sample_unclipped(key_b, condition)
      return self.autoencoder.from_latents(latent_bthwd)
    inner = {k: condition[k] for k in modalities.without_target(condition)}
    if 'known' not in condition:
      return self.autoencoder.from_codes(self.prior.sample(key_b, inner))
    known_video, known = condition['known_video'], condition['known']
    filled_bthwc = _forward_filled(known_video, known)
    inner['known_codes'] = self.autoencoder.codes(filled_bthwc)
    inner['known'] = self._known_codes(known)
    num_sampled, num_known = self.prior.sample_grid[0], inner['known'].shape[1]
    if num_known > num_sampled:
      raise ValueError(
        f'known_video has {known_video.shape[1]} frames, which are {num_known}'
        f' frames of codes, but {type(self.prior).__name__} generates'
        f' {num_sampled} frames of codes; give fewer frames, or build it with a'
        ' larger num_frames.'
      )
    for key in ('known_codes', 'known'):
      inner[key] = _padded_in_time(inner[key], num_sampled)
    video = self.autoencoder.from_codes(self.prior.sample(key_b, inner))
    known_video, known = (
      _padded_in_time(x, video.shape[1]) for x in (known_video, known)
    )
    return jnp.where(known, known_video, video)

  @property
  def _is_discrete(self) -> bool:
    return self.prior.input_key == 'codes'

  def _encoded(self, batch: Batch) -> Batch:
    """Returns the batch with codes or latents for the prior."""
    network, key = self.autoencoder, self.prior.input_key
    if self._is_discrete:
      conversions = {'codes': lambda x: x, 'video': network.codes}
    else:
      conversions = {
        'latents': lambda x: x.astype(jnp.float32),
        'codes': network.latents_of_codes,
        'video': network.latents,
      }
    for name, convert in conversions.items():
      if name in batch:
        return {**batch, key: convert(batch[name])}
    raise ValueError(
      f'The batch has {sorted(batch)}; model.prior,'
      f' {type(self.prior).__name__}, needs one of {list(conversions)}. Use'
      ' other data, or another prior.'
    )

  def _known_codes(self, known_bthwc: Array) -> Array:
    """Returns which codes have known pixels only, bool `[b, t, h, w]`.

    Args:
      known_bthwc: Mask of known pixels, bool, with one channel.
    """
    t, *sides = known_bthwc.shape[1:4]
    clip_shape = (t, *sides, self.clip_shape[3])
    grid = self.autoencoder.latent_shape(clip_shape)[:3]
    num_codes = grid[0]
    if self.autoencoder.encodes_first_frame_alone and num_codes > 1:
      # The first code has one frame; repeat it to the length of other codes.
      more = (t - 1) // (num_codes - 1) - 1
      first_b1hwc = known_bthwc[:, :1]
      known_bthwc = jnp.concatenate([first_b1hwc] * more + [known_bthwc], 1)
    shape = [len(known_bthwc)]
    for pixels, codes in zip(known_bthwc.shape[1:4], grid, strict=True):
      if pixels % codes:
        raise ValueError(
          f'Clips of {clip_shape[:3]} do not divide into {grid} codes evenly,'
          ' so it is undefined which codes are known; leave out known_video.'
        )
      shape += [codes, pixels // codes]
    return known_bthwc.reshape(shape).all((2, 4, 6))


def _forward_filled(video_bthwc: Array, known_bthwc: Array) -> Array:
  """Returns clips with unknown pixels set to values of earlier frames.

  The value is the last known one at the same position, or 0 if there is none.
  """
  frame_bhwc, frames = jnp.zeros_like(video_bthwc[:, 0]), []
  for t in range(video_bthwc.shape[1]):
    frame_bhwc = jnp.where(known_bthwc[:, t], video_bthwc[:, t], frame_bhwc)
    frames.append(frame_bhwc)
  return jnp.stack(frames, axis=1)


def _padded_in_time(x: Array, num_frames: int) -> Array:
  """Returns `x`, `[b, t, ...]`, padded with zeros to `num_frames` frames."""
  more = [(0, 0), (0, num_frames - x.shape[1]), *[(0, 0)] * (x.ndim - 2)]
  return jnp.pad(x, more)


def _check(model: Latent) -> None:
  """Raises ValueError if prior and tokenizer do not fit."""
  losses = {update.loss for update in model.prior.updates}
  if not losses <= set(_LOSSES):
    raise ValueError(
      f'model.prior, {type(model.prior).__name__}, is trained with'
      f' {sorted(losses)}; over latents only {_LOSSES} are supported: take'
      ' another prior.'
    )
  if model.prior.num_known:
    raise ValueError(
      f'model.prior, {type(model.prior).__name__}, needs first frames as input,'
      ' which cannot be given as latents; take a prior that needs none.'
    )
  if model.prior.input_key != 'codes':
    return
  codes, known = model.autoencoder.num_codes, model.prior.num_codes
  if codes != known:
    has = f'has {codes} codes' if codes else 'has no codes, but latents'
    raise ValueError(
      f'model.prior, {type(model.prior).__name__}, is built for num_codes'
      f' {known}, but model.autoencoder {has}; give both the same, or take a'
      ' prior over latents, such as families.diffusion.denoising.Diffusion.'
    )
