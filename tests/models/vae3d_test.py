"""Tests of models/vae3d.py: causality and processing in chunks."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import compiled
from vgen_jax.models import vae3d
from vgen_jax.nn.bottlenecks import gaussian
from vgen_jax.nn.convolution import causal

RNG = np.random.default_rng(0)
VIDEO = np.float32(RNG.uniform(-1, 1, (2, 7, 4, 4, 3)))


def make(**fields):
  fields = {
    'bottleneck': gaussian.Gaussian(4),
    'width': 8,
    'multipliers': (1, 2),
    'halves_time': (True,),
    'num_blocks': 0,
    **fields,
  }
  return vae3d.VAE3D(**fields)


@functools.cache
def variables_of(model):
  """Returns random variables none of which is zero."""
  t = 3 if model.temporal_kernel > 1 else 1
  shapes = jax.eval_shape(model.init, jax.random.key(0), VIDEO[:1, :t])
  rng = np.random.default_rng(1)

  def random(path, x):
    fan_in = np.prod(x.shape[:-1]) if path[-1].key == 'kernel' else 4
    return np.float32(rng.normal(size=x.shape) / np.sqrt(fan_in))

  params = jax.tree_util.tree_map_with_path(random, shapes['params'])
  moments = {'sum': np.full(4, 0.1), 'square': np.full(4, 0.6)}
  moments['weight'] = np.array(0.5)  # Mean 0.2, standard deviation 1.1.
  moments = jax.tree.map(np.float32, moments)
  return {'params': params, 'latent_moments': {'moments': moments}}


def run(model, method, *args):
  return compiled.apply(model, variables_of(model), *args, method=method)


def streamed(model, method, x, sizes):
  """Processes a clip in chunks of given lengths, optionally without `past`."""
  step = lambda past, x: compiled.apply(
    model, variables_of(model), method, past, x, method='stream'
  )
  past, parts, without_past = None, [], []
  for end, size in zip(np.cumsum(sizes), sizes, strict=True):
    chunk = x[:, end - size : end]
    nothing = past and jax.tree.map(np.zeros_like, past)
    without_past.append(step(nothing, chunk)[1])
    past, part = step(past, chunk)
    parts.append(part)
  return np.concatenate(parts, 1), np.concatenate(without_past, 1)


def test_chunks_equal_the_whole_clip():
  """The first chunk may be a single frame, an image."""
  model, lean = make(), make(remat='full')
  latent = run(model, 'latents', VIDEO)
  assert latent.shape == (2, 4, 2, 2, 4)
  assert model.latent_shape(VIDEO.shape[1:]) == latent.shape[1:]
  chunked, without_past = streamed(lean, 'latents', VIDEO, (1, 2, 2, 2))
  np.testing.assert_allclose(chunked, latent, atol=1e-5)
  assert np.abs(without_past[:, 1:] - latent[:, 1:]).max() > 1e-2
  whole = run(model, 'from_latents', latent)
  assert whole.shape == VIDEO.shape
  chunked, without_past = streamed(lean, 'from_latents', latent, (1, 1, 1, 1))
  np.testing.assert_allclose(chunked, whole, atol=2e-5)
  assert np.abs(without_past[:, 1:] - whole[:, 1:]).max() > 1e-2


def test_no_frame_depends_on_a_later_one():
  """Gradients show it, for groups of 1, 2, 2, 2 frames with one latent each."""
  model = make(norm='group')

  variables = variables_of(model)

  def dependence(method, x):
    """Returns whether output frame i depends on input frame j, `[i, j]`."""
    call = lambda x: model.apply(variables, x, method=method)
    # A different direction for each input frame.
    way = np.eye(x.shape[1])[:, None, :, None, None, None] * x[None]
    way = np.float32(way)
    slopes = jax.vmap(lambda way: jax.jvp(call, (x,), (way,))[1])
    return (np.abs(compiled.jit(slopes)(way)).max((1, 3, 4, 5)) > 0).T

  group = (np.arange(7) + 1) // 2  # Group of each frame.
  encoding = dependence('encode', VIDEO[:1])
  assert np.array_equal(encoding, np.arange(4)[:, None] >= group)
  latent = np.float32(np.random.default_rng(2).normal(size=(1, 4, 2, 2, 4)))
  decoding = dependence('decode', latent)
  assert np.array_equal(decoding, group[:, None] >= np.arange(4))


def test_inflated_networks_map_images_as_before():
  """At first, they also map each frame of a clip as the image network does."""
  clips = make()
  images = make(temporal_kernel=1, halves_time=(False,))
  both_params = [variables_of(model)['params'] for model in (images, clips)]
  params = compiled.call(causal.inflate, *both_params)
  variables = {**variables_of(clips), 'params': params}

  @compiled.jit
  def both(image, clip):
    flat = run(images, 'latents', image)
    latent = clips.apply(variables, clip, method='latents')
    repeated = jnp.concatenate([flat, flat], 1)
    frames = clips.apply(variables, repeated, method='from_latents')
    return (flat, run(images, 'from_latents', flat)), (latent, frames)

  image = VIDEO[:, :1]
  clip = np.concatenate([image, VIDEO[:, 1:2], image], 1)
  (flat, decoded), (latent, frames) = both(image, clip)
  # Each latent of a clip is that of its last frame, and is decoded to it twice.
  for i in range(2):
    np.testing.assert_allclose(latent[:, i : i + 1], flat, atol=1e-5)
  for i in range(3):
    np.testing.assert_allclose(frames[:, i : i + 1], decoded, atol=1e-4)
  with pytest.raises(ValueError, match=r'attention.* is not in both'):
    causal.inflate(
      variables_of(images)['params'],
      variables_of(make(attends=False))['params'],
    )


def tiled(model, latent, overlap, tile):
  return compiled.apply(
    model, variables_of(model), latent, tile, overlap, method='decode_tiled'
  )


def test_tiles_without_attention_equal_the_whole_frame():
  """Layers reach 9 latents: 1, 8 in blocks, 2 at half a latent a pixel."""
  model = make(attends=False, halves_time=(False,))
  latent = np.float32(np.random.default_rng(3).normal(size=(1, 1, 3, 48, 4)))
  whole = run(model, 'decode', latent)
  off = np.abs(tiled(model, latent, 36, (3, 40)) - whole).max()
  assert off < 1e-5 * np.abs(whole).max()


def test_tiles_with_attention_have_no_seams():
  model = make(halves_time=(False,))
  latent = np.float32(np.random.default_rng(3).normal(size=(1, 1, 20, 20, 4)))
  whole = run(model, 'decode', latent)

  def seam(overlap):
    """Returns the largest change of the error between two columns."""
    error = tiled(model, latent, overlap, (12, 12)) - whole
    return np.abs(np.diff(error, axis=3)).max()

  assert seam(8) < seam(0) / 3


def test_remat_changes_the_program():
  for remat in ('none', 'full'):
    model = make(remat=remat)
    call = lambda variables: model.apply(variables, VIDEO)[0]  # noqa: B023
    jaxpr = str(jax.make_jaxpr(call)(variables_of(model)))
    assert ('checkpoint' in jaxpr or 'remat' in jaxpr) == (remat == 'full')


def test_clips_of_unsuitable_shapes_raise():
  encode = lambda video: run(make(), 'encode', video)
  with pytest.raises(ValueError, match=r'need 1 \+ 2 \* k frames'):
    encode(VIDEO[:, :6])
  with pytest.raises(ValueError, match='multiples of 2'):
    encode(VIDEO[:, :, :3])
  with pytest.raises(ValueError, match='frames'):
    streamed(make(), 'encode', VIDEO, (1, 3))


@pytest.mark.parametrize(
  ('fields', 'match'),
  [
    (dict(norm='batch'), "norm is 'batch'"),
    (
      dict(halves_time=(True, True)),
      'one entry for each level after the first',
    ),
    (dict(temporal_kernel=1), 'temporal_kernel is 1; .* must be at least 3'),
  ],
)
def test_invalid_fields_raise(fields, match):
  with pytest.raises(ValueError, match=match):
    make(**fields)


def test_default_size():
  """Latents have 16 channels per 4 x 8 x 8 pixels; parameters are counted."""
  model = vae3d.VAE3D(gaussian.Gaussian(16))
  assert model.latent_shape((17, 256, 256, 3)) == (5, 32, 32, 16)
  variables = jax.eval_shape(
    model.init, jax.random.key(0), jnp.zeros((1, 5, 64, 64, 3))
  )
  assert 'past' not in variables  # It would fix the batch size.
  # Golden value; update it when the layers are changed on purpose.
  sizes = [x.size for x in jax.tree.leaves(variables['params'])]
  assert sum(sizes) == 129_472_739
