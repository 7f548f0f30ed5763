"""Latent models: a family over the latents or codes of a frozen tokenizer."""

import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core.types import Array
from vgen_jax.core.types import Batch
from vgen_jax.core.types import Condition
from vgen_jax.core.types import Metrics
from vgen_jax.families import base
from vgen_jax.families.base import VideoModel

_LOSSES = ('loss', 'penalty')


class Latent(VideoModel):
  """A model of what a tokenizer makes of clips, and so of clips.

  The tokenizer is the part `autoencoder`, trained by another run and taken up
  frozen: `config.frozen = {'autoencoder': workdir}`. The parts of the prior are
  parts of this model, under their own names, and its players the only ones.

  A prior over codes learns the tokenizer's codes. Any other learns its latents
  as if they were clips; they have mean 0 and deviation 1 in each channel, as
  the tokenizer has watched them. What it draws is snapped to the codebook, if
  there is one.

  What is known of a clip (`known_video` where `known`) tells a prior over codes
  those codes whose pixels are all known, as the tokenizer sees them with each
  unknown pixel as it was last, and comes out as it went in. A prior that draws
  more frames goes on from there.

  A batch may have `codes` or `latents` in place of `video`, as data/encoded.py
  keeps them: then nothing is encoded anew.

  Attributes:
    autoencoder: An `Autoencoder` of nn/bottlenecks/autoencoder.py.
    prior: A family. Its `clip_shape` becomes that of the latents.
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
    keys = [k for k in self.prior.condition_keys if not k.startswith('known')]
    if self._is_discrete:
      keys += ['known_video', 'known']
    return tuple(keys)

  def __call__(self, batch: Batch) -> list[tuple[Array, Metrics]]:
    # Or its decoder would not come to be. Codes and latents have no pixels.
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
    """Returns the lazy regularizer of a prior that has one."""
    return self.prior.penalty(self._encoded(batch), player=player, train=train)

  def sample(self, key_b: Array, condition: Condition) -> Array:
    return self.draw(key_b, condition).clip(-1, 1)

  def draw(self, key_b: Array, condition: Condition) -> Array:
    self.check_condition(condition)
    if len(known := condition.keys() & {'known_video', 'known'}) == 1:
      raise ValueError(
        f'condition has {known}; to tell what is known takes known_video and'
        ' known, both.'
      )
    if not self._is_discrete:
      return self.autoencoder.from_latents(self.prior.draw(key_b, condition))
    told = {k: x for k, x in condition.items() if not k.startswith('known')}
    if 'known' not in condition:
      return self.autoencoder.from_codes(self.prior.sample(key_b, told))
    known_video, known = condition['known_video'], condition['known']
    told['known_codes'] = self.autoencoder.codes(_held(known_video, known))
    told['known'] = self._known_codes(known)
    num_drawn, num_known = self.prior.drawn_grid[0], told['known'].shape[1]
    if num_known > num_drawn:
      raise ValueError(
        f'known_video has {known_video.shape[1]} frames, {num_known} of codes,'
        f' but {type(self.prior).__name__} draws {num_drawn} of codes; give'
        ' fewer frames, or build it with a larger num_frames.'
      )
    for key in ('known_codes', 'known'):
      told[key] = _longer(told[key], num_drawn)
    video = self.autoencoder.from_codes(self.prior.sample(key_b, told))
    known_video, known = (
      _longer(x, video.shape[1]) for x in (known_video, known)
    )
    return jnp.where(known, known_video, video)

  @property
  def _is_discrete(self) -> bool:
    return self.prior.input_key == 'codes'

  def _encoded(self, batch: Batch) -> Batch:
    """Returns the batch as the prior sees it, encoded unless it comes so."""
    network, key = self.autoencoder, self.prior.input_key
    if self._is_discrete:
      ways = {'codes': lambda x: x, 'video': network.codes}
    else:
      ways = {
        'latents': lambda x: x.astype(jnp.float32),
        'codes': network.latents_of_codes,
        'video': network.latents,
      }
    for name, to_inner in ways.items():
      if name in batch:
        return {**batch, key: to_inner(batch[name])}
    raise ValueError(
      f'The batch has {sorted(batch)}; model.prior,'
      f' {type(self.prior).__name__}, needs one of {list(ways)}.'
    )

  def _known_codes(self, known_bthwc: Array) -> Array:
    """Returns which codes have known pixels only."""
    t, *sides = known_bthwc.shape[1:4]
    clip_shape = (t, *sides, self.clip_shape[3])
    grid = self.autoencoder.latent_shape(clip_shape)[:3]
    num_codes = grid[0]
    if self._starts_alone() and num_codes > 1:
      # As if the first frame came as often as it takes to fill its code.
      more = (t - 1) // (num_codes - 1) - 1
      first_b1hwc = known_bthwc[:, :1]
      known_bthwc = jnp.concatenate([first_b1hwc] * more + [known_bthwc], 1)
    shape = [len(known_bthwc)]
    for pixels, codes in zip(known_bthwc.shape[1:4], grid, strict=True):
      if pixels % codes:
        raise ValueError(
          f'Clips of {clip_shape[:3]} do not fall into {grid} codes evenly, so'
          ' it cannot be told which codes are known; leave out known_video.'
        )
      shape += [codes, pixels // codes]
    return known_bthwc.reshape(shape).all((2, 4, 6))

  def _starts_alone(self) -> bool:
    """Whether the tokenizer, being causal, takes a frame alone for a code."""
    try:
      shape = self.autoencoder.latent_shape((1, *self.clip_shape[1:]))
    except ValueError:
      return False
    return shape[0] == 1


def _held(video_bthwc: Array, known_bthwc: Array) -> Array:
  """Returns clips in which unknown pixels are as they were last known, or 0."""
  frame_bhwc, frames = jnp.zeros_like(video_bthwc[:, 0]), []
  for t in range(video_bthwc.shape[1]):
    frame_bhwc = jnp.where(known_bthwc[:, t], video_bthwc[:, t], frame_bhwc)
    frames.append(frame_bhwc)
  return jnp.stack(frames, axis=1)


def _longer(x: Array, num_frames: int) -> Array:
  """Returns it with more frames, of which nothing is known."""
  more = [(0, 0), (0, num_frames - x.shape[1]), *[(0, 0)] * (x.ndim - 2)]
  return jnp.pad(x, more)


def _check(model: Latent) -> None:
  """Raises ValueError if prior and tokenizer do not fit."""
  losses = {turn.loss for turn in model.prior.updates}
  if not losses <= set(_LOSSES):
    raise ValueError(
      f'model.prior, {type(model.prior).__name__}, plays by {sorted(losses)};'
      f' over latents it can play by {_LOSSES} only.'
    )
  if model.prior.num_known:
    raise ValueError(
      f'model.prior, {type(model.prior).__name__}, goes on from first frames,'
      ' which cannot be told as latents; take a prior that draws freely.'
    )
  if model.prior.input_key != 'codes':
    return
  codes, known = model.autoencoder.num_codes, model.prior.num_codes
  if codes != known:
    has = f'has {codes} codes' if codes else 'has no codes, but latents'
    raise ValueError(
      f'model.prior, {type(model.prior).__name__}, is built for num_codes'
      f' {known}, but model.autoencoder {has}; give both the same, or take a'
      ' prior over latents, such as diffusion.Diffusion.'
    )
