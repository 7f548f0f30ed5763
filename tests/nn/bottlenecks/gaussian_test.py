"""Tests of nn/bottlenecks/gaussian.py."""

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from vgen_jax.core import random
from vgen_jax.nn.bottlenecks import gaussian

KEY_B = compiled.call(lambda: random.keys(jax.random.key(0), jnp.arange(3)))
ENCODED = arrays.normal((3, 2, 4, 4, 6), seed=1)


def test_latents_are_samples_or_means_of_the_posterior():
  bottleneck = gaussian.Gaussian(width=3, projects=False)
  assert bottleneck.num_codes == 0
  bottle = lambda key_b: compiled.apply(
    bottleneck, {}, ENCODED, key_b, train=True
  )
  sampled_output, mean_output = bottle(KEY_B), bottle(None)
  assert np.array_equal(mean_output.latent_bthwd, ENCODED[..., :3])
  assert np.array_equal(sampled_output.posterior.log_variance, ENCODED[..., 3:])
  noise = (sampled_output.latent_bthwd - ENCODED[..., :3]) / np.exp(
    ENCODED[..., 3:] / 2
  )
  assert noise.std() == pytest.approx(1, abs=0.1)
  # Summed over latents, averaged over the batch.
  kl_bthwd = compiled.call(lambda x: x.divergence(), sampled_output.posterior)
  kl_b = kl_bthwd.reshape(3, -1).sum(1)
  assert sampled_output.loss == pytest.approx(float(kl_b.mean()), rel=1e-5)
  # The noise of a clip does not depend on its batch.
  single = compiled.apply(bottleneck, {}, ENCODED[1:2], KEY_B[1:2], train=True)
  assert np.array_equal(single.latent_bthwd[0], sampled_output.latent_bthwd[1])


def test_log_variance_is_clipped():
  encoded = np.concatenate([ENCODED[..., :3], 100 * ENCODED[..., 3:]], -1)
  bottleneck = gaussian.Gaussian(width=3, projects=False)
  output = compiled.apply(bottleneck, {}, encoded, KEY_B, train=True)
  assert np.abs(output.posterior.log_variance).max() == 10
  assert np.all(np.isfinite(output.latent_bthwd))


def test_inputs_are_projected_or_split():
  encoded = np.ones((2, 1, 1, 1, 5), np.float32)
  (output, variables) = compiled.init_with_output(
    gaussian.Gaussian(width=4), jax.random.key(0), encoded, None, train=False
  )
  assert output.latent_bthwd.shape == (2, 1, 1, 1, 4)
  assert flax.traverse_util.flatten_dict(variables['params']).keys() == {
    ('project', 'kernel'),
    ('project', 'bias'),
  }
  with pytest.raises(ValueError, match=r'gives 5 channels.* needs 8'):
    compiled.apply(
      gaussian.Gaussian(width=4, projects=False), {}, encoded, None, train=False
    )


def test_identity_only_projects():
  layer = gaussian.Identity(width=2)
  output, variables = compiled.init_with_output(
    layer, jax.random.key(0), ENCODED, KEY_B, train=True
  )
  kernel = variables['params']['project']['kernel']
  assert np.allclose(output.latent_bthwd, ENCODED @ kernel, atol=1e-5)
  assert output.loss == 0
  assert output.posterior is None
  assert layer.num_codes == 0
