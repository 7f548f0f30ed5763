"""Autoencoders that learn to rebuild clips: VQ-VAE, VQGAN and their like."""

from collections.abc import Callable, Mapping
import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from vgen_jax.core import random
from vgen_jax.core.types import Array
from vgen_jax.core.types import Batch
from vgen_jax.core.types import Condition
from vgen_jax.core.types import Metrics
from vgen_jax.families.adversarial import gan_losses
from vgen_jax.families.adversarial import lipschitz
from vgen_jax.families.base import Update
from vgen_jax.families.base import VideoModel
from vgen_jax.nn.bottlenecks import autoencoder as autoencoder_lib

RECONSTRUCTIONS = ('l1', 'l2', 'huber')

_REBUILD, _JUDGE = range(2)  # Streams of a clip's key.
_MOST = 1e4  # Of the adaptive weight.
_LECAM_MEMORY = 0.99  # Per step.


class Autoencoding(VideoModel):
  """An autoencoder that rebuilds clips, critics that tell them from data.

  Its loss is `reconstruction_weight` times the reconstruction, plus
  `bottleneck_weight` times what its bottleneck asks, plus `perceptual_weight`
  times a distance as people see it, plus what critics make of the result.
  Without critics this is a VQ-VAE, with them VQGAN's recipe; all move at once.

  To keep the adversary from drowning the reconstruction, its gradient is scaled
  by the ratio of both gradients' norms at the kernel of the decoder's last
  layer, which an autoencoder names `decoder/out` (Esser et al., section 3.1).
  A distance is a mean over pixels and a logit is not, so weights far below 1
  are in order. Where the distance has settled, its gradient is about 0, and
  critics fall silent with it: also where it has settled on a blank.

  `sample` rebuilds the clips that it is given.

  Attributes:
    autoencoder: The part that other runs take up frozen.
    critic: Networks `(video_bthwc, condition, key_b, *, train) -> logits`, as
      those of a GAN; the one under key 'video' is player 'critic_video'.
    reconstruction: 'l1', 'l2', or 'huber', which is l2 / 2 below 1.
    reconstruction_weight: Of its mean over pixels, which go from -1 to 1.
    bottleneck_weight: Of `BottleneckOutput.loss`.
    perceptual: `(video_bthwc, rebuilt_bthwc) -> distance_b`, or None; if it is
      a network, it does not learn here.
    perceptual_weight: Of its mean.
    critic_weight: Of the adversary, on the autoencoder's side.
    critic_start: Steps before critics begin to learn and to be heard; until
      then nothing of theirs is computed, and their terms are 0 on the
      autoencoder's side.
    adaptive: Whether gradients are balanced; else `critic_weight` alone counts.
    loss_kind: One of `gan_losses.KINDS`.
    r1_weight: Gamma of the R1 penalty on critics
      (families/adversarial/lipschitz.py).
    lecam_weight: Weight of LeCam's, which keeps logits of data near the moving
      mean of those of fakes, and the other way round.

  References: van den Oord et al., "Neural Discrete Representation Learning",
  2017, https://arxiv.org/abs/1711.00937; Esser et al., "Taming Transformers for
  High-Resolution Image Synthesis", 2020, https://arxiv.org/abs/2012.09841;
  LeCam: Tseng et al., "Regularizing Generative Adversarial Networks under
  Limited Data", 2021, https://arxiv.org/abs/2104.03310
  """

  autoencoder: autoencoder_lib.Autoencoder
  critic: Mapping[str, nn.Module] = dataclasses.field(default_factory=dict)
  reconstruction: str = 'l2'
  reconstruction_weight: float = 1.0
  bottleneck_weight: float = 1.0
  perceptual: Callable[[Array, Array], Array] | None = None
  perceptual_weight: float = 1.0
  critic_weight: float = 0.8
  critic_start: int = 0
  adaptive: bool = True
  loss_kind: str = 'hinge'
  r1_weight: float = 0.0
  lecam_weight: float = 0.0

  def __post_init__(self):
    super().__post_init__()
    gan_losses.check(self.loss_kind)
    if self.reconstruction not in RECONSTRUCTIONS:
      raise ValueError(
        f'reconstruction is {self.reconstruction!r}; it must be one of'
        f' {RECONSTRUCTIONS}.'
      )
    if self.critic_start < 0:
      raise ValueError(
        f'critic_start is {self.critic_start}; it must be 0 steps or more.'
      )

  @property
  def updates(self) -> tuple[Update, ...]:
    first, *others = ('autoencoder', *(f'critic_{key}' for key in self.critic))
    # At the same time, so that one reconstruction serves all.
    late = lambda x: Update(x, with_previous=True, start=self.critic_start)
    return Update(first), *(late(x) for x in others)

  @property
  def condition_keys(self) -> tuple[str, ...]:
    return ('known_video', 'known')

  @property
  def num_known(self) -> int:
    return self.clip_shape[0]

  def loss(
    self, batch: Batch, *, player: str, train: bool
  ) -> tuple[Array, Metrics]:
    key_b = self.clip_keys(batch)
    video_bthwc = batch['video']
    rebuilt_bthwc, bottled = self.autoencoder(
      video_bthwc, random.fold_in(key_b, _REBUILD), train=train
    )
    key_b = random.fold_in(key_b, _JUDGE)
    if player != 'autoencoder':
      critic = self.critic[player.removeprefix('critic_')]
      return self._critic_loss(critic, video_bthwc, rebuilt_bthwc, key_b, train)

    loss, terms = self._distance(video_bthwc, rebuilt_bthwc)
    terms |= {'bottleneck': bottled.loss, **bottled.terms}
    if self.critic:
      # Outside of training, schedules are at their end.
      step = batch['step'][0] if 'step' in batch else self.critic_start
      adversary, weight = self._adversary(
        step, video_bthwc, rebuilt_bthwc, bottled.latent_bthwd, key_b, train
      )
      terms |= {'adversarial': adversary, 'critic_weight': weight}
      loss += weight * adversary
    return loss + self.bottleneck_weight * bottled.loss, terms

  def sample(self, key_b: Array, condition: Condition) -> Array:
    """Rebuilds `known_video`, whatever is `known`; keys count for nothing.

    Raises:
      ValueError: If there is no `known_video`, or something else.
    """
    del key_b
    self.check_condition(condition)
    if 'known_video' not in condition:
      raise ValueError(
        "condition has no 'known_video'; an autoencoder rebuilds clips and"
        ' cannot draw them: give it some, or train a prior on its latents.'
      )
    rebuilt_bthwc, _ = self.autoencoder(condition['known_video'], train=False)
    return rebuilt_bthwc.clip(-1, 1)

  def _distance(
    self, video_bthwc: Array, rebuilt_bthwc: Array
  ) -> tuple[Array, Metrics]:
    """Returns how far a reconstruction is from its clips, weighted."""
    error_bthwc = jnp.abs(rebuilt_bthwc.astype(jnp.float32) - video_bthwc)
    square_b = jnp.square(error_bthwc).mean((1, 2, 3, 4))
    match self.reconstruction:
      case 'l1':
        reconstruction = error_bthwc.mean()
      case 'l2':
        reconstruction = square_b.mean()
      case 'huber':
        reconstruction = optax.huber_loss(error_bthwc).mean()
    psnr = 10 * jnp.log10(4 / jnp.maximum(square_b, 1e-10)).mean()
    terms = {'reconstruction': reconstruction, 'psnr': psnr}
    loss = self.reconstruction_weight * reconstruction
    if self.perceptual is not None:
      terms['perceptual'] = self.perceptual(video_bthwc, rebuilt_bthwc).mean()
      loss += self.perceptual_weight * terms['perceptual']
    return loss, terms

  def _adversary(
    self,
    step: int | Array,
    video_bthwc: Array,
    rebuilt_bthwc: Array,
    latent_bthwd: Array,
    key_b: Array,
    train: bool,
  ) -> tuple[Array, Array]:
    """Returns what critics make of reconstructions, and how much it weighs."""
    still_bthwc = jax.lax.stop_gradient(rebuilt_bthwc)
    if self.adaptive:  # Shared with the main backward pass by the compiler.
      to_kernel = self._to_kernel(latent_bthwd)
      distance = lambda x: self._distance(video_bthwc, x)[0]
      wanted = jax.grad(distance)(still_bthwc)
    if self.is_initializing():  # Critics have no parameters yet.
      return jnp.zeros(()), jnp.zeros(())
    scores = [_unbound(x, key_b, train) for x in self.critic.values()]

    def adversary(rebuilt_bthwc: Array) -> Array:
      logits = [score(rebuilt_bthwc) for score in scores]
      return sum(gan_losses.generator(self.loss_kind, x) for x in logits)

    def heard(rebuilt_bthwc: Array) -> tuple[Array, Array]:
      weight = jnp.float32(self.critic_weight)
      if self.adaptive:
        given = jax.grad(adversary)(still_bthwc)
        norms = [jnp.linalg.norm(to_kernel(x)[0]) for x in (wanted, given)]
        weight *= (norms[0] / (norms[1] + 1e-4)).clip(0, _MOST)
      return adversary(rebuilt_bthwc), weight

    if isinstance(step, int):
      return heard(rebuilt_bthwc)
    unheard = lambda _: (jnp.zeros(()), jnp.zeros(()))
    joined = step >= self.critic_start
    return jax.lax.cond(joined, heard, unheard, rebuilt_bthwc)

  def _to_kernel(self, latent_bthwd: Array) -> Callable[[Array], tuple[Array]]:
    """Returns the way from pixels' gradient to that of the last kernel."""
    network, variables = self.autoencoder.unbind()
    variables, latent_bthwd = jax.lax.stop_gradient((variables, latent_bthwd))
    params = variables.get('params', {})
    decoder = params.get('decoder', {})
    if 'kernel' not in decoder.get('out', {}):
      raise ValueError(
        f'{type(network).__name__} has no parameter decoder/out/kernel, by'
        ' which to balance the adversary; name its last layer so, or set'
        ' adaptive to False.'
      )

    def decode(kernel: Array) -> Array:
      out = {**decoder['out'], 'kernel': kernel}
      changed = {**params, 'decoder': {**decoder, 'out': out}}
      return network.apply(
        {**variables, 'params': changed}, latent_bthwd, method='decode'
      )

    return jax.vjp(decode, decoder['out']['kernel'])[1]

  def _critic_loss(
    self,
    critic: nn.Module,
    video_bthwc: Array,
    rebuilt_bthwc: Array,
    key_b: Array,
    train: bool,
  ) -> tuple[Array, Metrics]:
    real, fake = (
      critic(x, {}, key_b, train=train) for x in (video_bthwc, rebuilt_bthwc)
    )
    loss = gan_losses.critic(self.loss_kind, real, fake)
    terms = {
      'adversarial': loss,
      'real_logit': real.mean(),
      'fake_logit': fake.mean(),
    }
    if self.r1_weight:
      judge = _unbound(critic, key_b)
      score = lambda x: judge(x).reshape(len(x), -1).mean(1)
      terms['r1'] = lipschitz.zero_centred(score, video_bthwc).mean()
      loss += self.r1_weight * terms['r1']
    if self.lecam_weight:
      terms['lecam'] = self._lecam(critic, real, fake, train)
      loss += self.lecam_weight * terms['lecam']
    return loss, terms

  def _lecam(
    self, critic: nn.Module, real: Array, fake: Array, train: bool
  ) -> Array:
    """Returns the squared distances of logits from the others' moving mean."""
    now = jnp.stack([real.mean(), fake.mean()]).astype(jnp.float32)
    old = critic.get_variable('lecam', 'logits', jnp.zeros(2))
    means = _LECAM_MEMORY * old + (1 - _LECAM_MEMORY) * now
    if self.is_initializing() or train:
      kept = old if self.is_initializing() else means
      critic.put_variable('lecam', 'logits', jax.lax.stop_gradient(kept))
    real_mean, fake_mean = jax.lax.stop_gradient(means)
    return (
      jnp.square(real - fake_mean).mean() + jnp.square(fake - real_mean).mean()
    )


def _unbound(
  critic: nn.Module, key_b: Array, train: bool = False
) -> Callable[[Array], Array]:
  """Returns a critic's logits as a function that jax can transform.

  Its statistics stay as they are.
  """
  network, variables = critic.unbind()
  kept = [kind for kind in variables if kind != 'params']
  drops = train and critic.has_rng('dropout')
  rngs = {'dropout': critic.make_rng('dropout')} if drops else {}

  def score(video_bthwc: Array) -> Array:
    logits, _ = network.apply(
      variables, video_bthwc, {}, key_b, train=train, rngs=rngs, mutable=kept
    )
    return logits

  return score
