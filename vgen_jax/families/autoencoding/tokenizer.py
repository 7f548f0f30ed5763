"""Autoencoders trained for reconstruction: VQ-VAE, VQGAN and similar ones."""

from collections.abc import Callable, Mapping
import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core import random
from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.core.types import Batch
from vgen_jax.core.types import Condition
from vgen_jax.core.types import Metrics
from vgen_jax.families.adversarial import critics
from vgen_jax.families.adversarial import gan_losses
from vgen_jax.families.adversarial import lipschitz
from vgen_jax.families.autoencoding import adversary
from vgen_jax.families.autoencoding import reconstruction as distances
from vgen_jax.families.base import Update
from vgen_jax.families.base import VideoModel
from vgen_jax.nn import batch_statistics
from vgen_jax.nn.bottlenecks import autoencoder as autoencoder_lib

_RECONSTRUCT, _CRITIC = range(2)  # Purposes of a clip's key.


class Autoencoding(VideoModel):
  """An autoencoder trained to reconstruct clips, with or without critics.

  Its loss is the sum of `reconstruction_weight` times the distance of pixels,
  `bottleneck_weight` times the bottleneck's loss, `perceptual_weight` times a
  perceptual distance, and the weighted adversarial loss against the critics.
  Without critics this is a VQ-VAE, with them the recipe of VQGAN. All updates
  are simultaneous.

  If `adaptive`, the weight of the adversarial loss is multiplied by the ratio
  of the gradient norms of the distance and of the adversarial loss, at the
  kernel of the decoder's last layer, which must be named `decoder/out` (Esser
  et al., section 3.1). So with a `critic_weight` of 1 both gradients have the
  same norm there; the configs use 0.1. Where the gradient of the distance is
  about 0, so is the weight, and critics have no influence; an example is an
  autoencoder that always returns the best constant. If not `adaptive`, use
  weights far below 1, since a distance is a mean over pixels and a logit is
  not.

  `sample` reconstructs the clips that it is given.

  Attributes:
    autoencoder: Network to train; other runs load this part and freeze it.
    critic: {name: network}; each network is called as `(video_bthwc, condition,
      key_b, *, train) -> logits`, as in a GAN, with condition {}. The critic
      named 'video' is player 'critic_video'.
    reconstruction: Distance of pixels, one of `reconstruction.KINDS`: 'l1',
      'l2', or 'huber', which is l2 / 2 below 1.
    reconstruction_weight: Weight of the distance, a mean over pixels; pixels
      are in [-1, 1].
    bottleneck_weight: Weight of `BottleneckOutput.loss`.
    perceptual: `(video_bthwc, reconstructed_bthwc) -> distance_b`, or None. If
      it is a network, it is not trained.
    perceptual_weight: Weight of the mean perceptual distance over clips.
    critic_weight: Weight of the adversarial loss of the autoencoder.
    critic_start: First step in which critics are trained and used. In earlier
      steps they are not computed, and their terms in the autoencoder's loss are
      0.
    adaptive: Whether the weight is multiplied by the ratio of gradient norms.
    loss_kind: One of `gan_losses.KINDS`.
    r1_weight: Gamma of the R1 penalty on critics
      (families/adversarial/lipschitz.py).
    lecam_weight: Weight of the LeCam regularizer of critics (adversary.py).

  References: van den Oord et al., "Neural Discrete Representation Learning",
  2017, https://arxiv.org/abs/1711.00937; Esser et al., "Taming Transformers for
  High-Resolution Image Synthesis", 2020, https://arxiv.org/abs/2012.09841
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
    if self.critic:
      gan_losses.check_unpaired(self.loss_kind, 'an autoencoder with critics')
    distances.check(self.reconstruction)
    checks.at_least('model.critic_start', self.critic_start, 0)

  @property
  def updates(self) -> tuple[Update, ...]:
    # Simultaneous, so that all updates use the same reconstruction.
    of_critic = lambda x: Update(x, with_previous=True, start=self.critic_start)
    others = (of_critic(x) for x in critics.players(self.critic))
    return Update('autoencoder'), *others

  @property
  def condition_keys(self) -> tuple[str, ...]:
    return ('known_video', 'known')

  @property
  def num_known(self) -> int:
    return self.clip_shape[0]

  @property
  def supported_tasks(self) -> tuple[str, ...]:
    return ('reconstruct',)

  def loss(
    self, batch: Batch, *, player: str, train: bool
  ) -> tuple[Array, Metrics]:
    key_b = self.clip_keys(batch)
    video_bthwc = batch['video']
    reconstructed_bthwc, bottleneck = self.autoencoder(
      video_bthwc, random.fold_in(key_b, _RECONSTRUCT), train=train
    )
    shapes.check_output(
      'autoencoder', self.autoencoder, reconstructed_bthwc, video_bthwc.shape
    )
    key_b = random.fold_in(key_b, _CRITIC)
    if player != 'autoencoder':
      critic = critics.of_player(self.critic, player)
      return self._critic_loss(
        critic, video_bthwc, reconstructed_bthwc, key_b, train
      )

    loss, terms = self._distance(video_bthwc, reconstructed_bthwc)
    terms |= {'bottleneck': bottleneck.loss, **bottleneck.terms}
    if self.critic:
      # Outside of training, schedules are at their end.
      step = batch['step'][0] if 'step' in batch else self.critic_start
      adversarial, weight = self._adversarial(
        step,
        video_bthwc,
        reconstructed_bthwc,
        bottleneck.latent_bthwd,
        key_b,
        train,
      )
      terms |= {'adversarial': adversarial, 'critic_weight': weight}
      loss += weight * adversarial
    return loss + self.bottleneck_weight * bottleneck.loss, terms

  def sample_unclipped(self, key_b: Array, condition: Condition) -> Array:
    """Returns reconstructions of `known_video`; `known` and keys are ignored.

    Raises:
      ValueError: If there is no `known_video`, or another key.
    """
    del key_b
    self.check_condition(condition)
    if 'known_video' not in condition:
      raise ValueError(
        "condition has no 'known_video'; an autoencoder reconstructs clips and"
        ' cannot generate them: give it clips, or train a prior on its latents.'
      )
    video_bthwc, _ = self.autoencoder(condition['known_video'], train=False)
    return video_bthwc

  def _distance(
    self, video_bthwc: Array, reconstructed_bthwc: Array
  ) -> tuple[Array, Metrics]:
    """Returns the weighted distance of reconstructions, and its terms."""
    distance = distances.distance(
      self.reconstruction, video_bthwc, reconstructed_bthwc
    )
    psnr = distances.psnr(video_bthwc, reconstructed_bthwc)
    terms = {'reconstruction': distance, 'psnr': psnr}
    loss = self.reconstruction_weight * distance
    if self.perceptual is not None:
      perceptual_b = self.perceptual(video_bthwc, reconstructed_bthwc)
      terms['perceptual'] = perceptual_b.mean()
      loss += self.perceptual_weight * terms['perceptual']
    return loss, terms

  def _adversarial(
    self,
    step: int | Array,
    video_bthwc: Array,
    reconstructed_bthwc: Array,
    latent_bthwd: Array,
    key_b: Array,
    train: bool,
  ) -> tuple[Array, Array]:
    """Returns the autoencoder's loss against the critics, and its weight.

    Both are float32 scalars.
    """
    fixed_bthwc = jax.lax.stop_gradient(reconstructed_bthwc)
    if self.adaptive:  # Shared with the main backward pass by the compiler.
      to_kernel_gradient = adversary.kernel_gradient(
        self.autoencoder, latent_bthwd
      )
    if self.is_initializing():  # Critics have no parameters yet.
      return jnp.zeros(()), jnp.zeros(())
    distance_grad = jnp.zeros(())
    if self.adaptive:
      distance = lambda x: self._distance(video_bthwc, x)[0]
      distance_grad = to_kernel_gradient(jax.grad(distance)(fixed_bthwc))
    all_logits = [
      critics.unbound(critic, {}, key_b, train=train)
      for critic in self.critic.values()
    ]

    def adversarial(video_bthwc: Array) -> Array:
      logits = [logits_of(video_bthwc) for logits_of in all_logits]
      return sum(gan_losses.generator(self.loss_kind, x) for x in logits)

    def with_gradient(video_bthwc: Array) -> tuple[Array, Array]:
      gradient = jnp.zeros(())
      if self.adaptive:
        gradient = to_kernel_gradient(jax.grad(adversarial)(fixed_bthwc))
      return adversarial(video_bthwc), gradient

    has_started = step >= self.critic_start
    if isinstance(step, int):
      loss, gradient = with_gradient(reconstructed_bthwc)
    else:
      without = lambda _: (jnp.zeros(()), jnp.zeros_like(distance_grad))
      loss, gradient = jax.lax.cond(
        has_started, with_gradient, without, reconstructed_bthwc
      )
    weight = jnp.where(has_started, jnp.float32(self.critic_weight), 0)
    if self.adaptive:  # Norms of gradients of the whole batch.
      whole = lambda name, x: jax.lax.stop_gradient(
        batch_statistics.mean(self, name, x)
      )
      weight *= adversary.ratio(
        whole('distance_gradient', distance_grad),
        whole('adversarial_gradient', gradient),
      )
    return loss, weight

  def _critic_loss(
    self,
    critic: nn.Module,
    video_bthwc: Array,
    reconstructed_bthwc: Array,
    key_b: Array,
    train: bool,
  ) -> tuple[Array, Metrics]:
    real, fake = (  # Logits of classes are not used.
      critics.split(critic(x, {}, key_b, train=train))[0]
      for x in (video_bthwc, reconstructed_bthwc)
    )
    loss = gan_losses.critic(self.loss_kind, real, fake)
    terms = {'adversarial': loss, **critics.mean_logits(real, fake)}
    if self.r1_weight:
      score = critics.clip_scores(
        critics.unbound(critic, {}, key_b, train=train)
      )
      terms['r1'] = lipschitz.zero_centred(score, video_bthwc).mean()
      loss += self.r1_weight * terms['r1']
    if self.lecam_weight:
      terms['lecam'] = adversary.lecam(critic, real, fake, train)
      loss += self.lecam_weight * terms['lecam']
    return loss, terms
