"""Adaptive weight of the adversarial loss, and a regularizer of critics."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from vgen_jax.core.types import Array
from vgen_jax.nn import batch_statistics

_MAX_RATIO = 1e4  # Bound of the ratio of gradient norms.
_LECAM_DECAY = 0.99  # Decay of the moving means, per step.


def kernel_gradient(
  autoencoder: nn.Module, latent_bthwd: Array
) -> Callable[[Array], Array]:
  """Returns a function that backpropagates from pixels to the last kernel.

  The argument of the function is the gradient of a loss with respect to pixels,
  `[b, t, h, w, c]`; its result is the gradient with respect to the kernel.

  Args:
    autoencoder: A bound module. The last layer of its decoder must have the
      parameter `decoder/out/kernel`.
    latent_bthwd: Latents from which the pixels are decoded.

  Raises:
    ValueError: If there is no such parameter.
  """
  network, variables = autoencoder.unbind()
  variables, latent_bthwd = jax.lax.stop_gradient((variables, latent_bthwd))
  params = variables.get('params', {})
  decoder = params.get('decoder', {})
  if 'kernel' not in decoder.get('out', {}):
    raise ValueError(
      f'{type(network).__name__} has no parameter decoder/out/kernel, whose'
      " gradients balance reconstruction and critics; name its decoder's last"
      " layer 'out', or set model.adaptive to False."
    )

  def decode(kernel: Array) -> Array:
    out = {**decoder['out'], 'kernel': kernel}
    changed = {**params, 'decoder': {**decoder, 'out': out}}
    return network.apply(
      {**variables, 'params': changed}, latent_bthwd, method='decode'
    )

  pullback = jax.vjp(decode, decoder['out']['kernel'])[1]
  return lambda gradient_bthwc: pullback(gradient_bthwc)[0]


def ratio(numerator: Array, denominator: Array) -> Array:
  """Returns the ratio of the norms of two gradients, a scalar in [0, 10000]."""
  norms = [jnp.linalg.norm(x) for x in (numerator, denominator)]
  return (norms[0] / (norms[1] + 1e-4)).clip(0, _MAX_RATIO)


def lecam(
  critic: nn.Module, real_logit: Array, fake_logit: Array, train: bool
) -> Array:
  """Returns the LeCam regularizer of a critic, a scalar.

  The regularizer is the mean squared difference between the logits of real
  clips and the moving mean of the logits of reconstructions, plus the same for
  the logits of reconstructions and the moving mean of the logits of real clips.
  The critic keeps the two means as variable 'logits' of collection 'lecam'.

  Args:
    critic: A bound module.
    real_logit: Its logits of real clips.
    fake_logit: Its logits of reconstructions.
    train: Whether the moving means are updated.

  Reference: Tseng et al., "Regularizing Generative Adversarial Networks under
  Limited Data", 2021, https://arxiv.org/abs/2104.03310
  """
  now = jnp.stack([real_logit.mean(), fake_logit.mean()]).astype(jnp.float32)
  now = batch_statistics.mean(critic, 'mean_logits', now)
  old = critic.get_variable('lecam', 'logits', jnp.zeros(2))
  means = _LECAM_DECAY * old + (1 - _LECAM_DECAY) * now
  if critic.is_initializing() or train:
    kept = old if critic.is_initializing() else means
    critic.put_variable('lecam', 'logits', jax.lax.stop_gradient(kept))
  real_mean, fake_mean = jax.lax.stop_gradient(means)
  return (
    jnp.square(real_logit - fake_mean).mean()
    + jnp.square(fake_logit - real_mean).mean()
  )
