"""Tests of models/videogpt_vqvae.py."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from vgen_jax.models import videogpt_vqvae
from vgen_jax.nn.bottlenecks import gaussian
from vgen_jax.nn.bottlenecks import quantize

pytestmark = pytest.mark.usefixtures('compares_finite')

KEYS = arrays.keys(2, 3)


def small(**fields) -> videogpt_vqvae.VideoGPTVQVAE:
  bottleneck = fields.pop('bottleneck', quantize.EMAVQ(num_codes=8, width=4))
  fields = dict(width=8, num_blocks=1, downsample=(2, 4, 4)) | fields
  return videogpt_vqvae.VideoGPTVQVAE(bottleneck, **fields)


def clips(shape=(4, 8, 8)):
  return arrays.uniform((2, *shape, 3), low=-1)


def initial(model, x):
  return compiled.init(model, jax.random.key(0), x, None, train=False)


def test_parameter_count_equals_the_released_code():
  """Counted by hand for width 240 and 4 blocks in encoder and decoder.

  A block: norms 480 + 240 + 480, convolutions 27 * 240 * 120 + 120 * 240, and
  three times (3 * 240^2 + 240^2 + 240): 1,499,520 in all.
  """
  block = 480 + 240 + 480 + 27 * 240 * 120 + 120 * 240
  block += 3 * (4 * 240**2 + 240)
  assert block == 1_499_520
  stack = 4 * block + 480
  double = 64 * 240 * 240 + 240
  encoder = (64 * 3 * 240 + 240) + double + (27 * 240 * 240 + 240) + stack
  decoder = stack + double + (64 * 240 * 3 + 3)
  around = (240 * 256 + 256) + (256 * 240 + 240)
  model = videogpt_vqvae.VideoGPTVQVAE(quantize.EMAVQ(2048, 256))
  shapes = jax.eval_shape(
    lambda: model.init(
      jax.random.key(0), jnp.zeros((1, 16, 64, 64, 3)), None, train=False
    )
  )
  count = lambda tree: sum(x.size for x in jax.tree.leaves(tree))
  assert count(shapes['params']) == encoder + around + decoder == 21_141_619
  assert shapes['codebook']['bottleneck']['vectors'].shape == (2048, 256)
  assert model.latent_shape((16, 64, 64, 3)) == (4, 16, 16, 256)


@pytest.mark.parametrize('downsample', [(1, 2, 2), (2, 4, 4), (4, 1, 2)])
def test_any_number_of_levels_works(downsample):
  """A single level works, too, which the released code does not support."""
  model = small(downsample=downsample)
  x = clips()
  (reconstructed, output), _ = jax.eval_shape(
    lambda: model.init_with_output(jax.random.key(0), x, None, train=False)
  )
  assert reconstructed.shape == x.shape
  latent_shape = model.latent_shape(x.shape[1:])
  assert output.latent_bthwd.shape == (2, *latent_shape)
  assert output.codes_bthw.shape == (2, *latent_shape[:3])


def test_attention_is_along_single_axes():
  """A pixel affects all positions that differ from it in one axis only."""
  block = videogpt_vqvae._Block(8, 2, 'float32')
  x = arrays.normal((1, 5, 5, 5, 8), 1)
  variables = compiled.init(block, jax.random.key(0), x, False)
  # With only the centre taps of the convolution, a change stays local.
  kernel = variables['params']['near']['kernel']
  only_middle = arrays.put(np.zeros_like(kernel), (1, 1, 1), kernel[1, 1, 1])
  variables['params']['near']['kernel'] = only_middle
  call = compiled.jit(lambda x: block.apply(variables, x, False))
  change = np.abs(call(arrays.add(x, (0, 1, 2, 3), 1)) - call(x)).sum(-1)[0]
  t, h, w = np.indices((5, 5, 5))
  same = (t == 1).astype(int) + (h == 2) + (w == 3)
  np.testing.assert_array_equal(np.asarray(change) > 1e-6, same >= 2)


def test_norms_and_codebook_are_updated_only_in_training():
  model, x = small(), clips()
  variables = initial(model, x)

  def changed(train: bool):
    call = compiled.jit(
      lambda v, x: model.apply(v, x, KEYS, train=train, mutable=list(stats))
    )
    return call(variables, x)[1]

  stats = {key: x for key, x in variables.items() if key != 'params'}
  chex.assert_trees_all_equal(changed(False), stats)
  moved = changed(True)
  assert (
    moved['codebook']['bottleneck']['vectors']
    != variables['codebook']['bottleneck']['vectors']
  ).any()
  mean = moved['batch_stats']['encoder']['norm']['mean']
  assert (mean != 0).any()


def test_decoded_codes_equal_the_reconstruction():
  model, x = small(), clips()
  variables = initial(model, x)
  codes = compiled.apply(model, variables, x, method='codes')
  reconstructed, _ = compiled.apply(model, variables, x, None, train=False)
  decoded = compiled.apply(model, variables, codes, method='from_codes')
  np.testing.assert_allclose(decoded, reconstructed, atol=1e-5)


def test_invalid_shapes_and_fields_raise():
  with pytest.raises(ValueError, match='power of 2'):
    small(downsample=(1, 1, 1))
  with pytest.raises(
    ValueError, match='width is 8; it must be a multiple of num_heads, 3'
  ):
    small(num_heads=3)
  with pytest.raises(ValueError, match=r'clips is 3 x 8 x 8; .* downsample, '):
    small().latent_shape((3, 8, 8, 3))
  continuous = small(bottleneck=gaussian.Gaussian(width=4))
  assert continuous.latent_shape((4, 8, 8, 3)) == (2, 2, 2, 4)
