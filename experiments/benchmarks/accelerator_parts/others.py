"""Speeds of other models, and of sampling, decoding and encoding."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp

from experiments.benchmarks import ar_decode
from experiments.benchmarks import metrics_speed
from experiments.benchmarks import world_speed
from experiments.benchmarks.accelerator_parts import recording
from experiments.benchmarks.accelerator_parts import steps
from experiments.benchmarks.accelerator_parts import timing
from vgen_jax.config import settings as settings_lib

# A GPT of VideoGPT's size over 8 x 8 x 8 codes of clips of 16 x 64 x 64.
_GPT = {
  'clip_shape': (16, 64, 64, 3),
  'model.autoencoder.patch_size': (2, 8, 8),
  'model.prior.transformer.width': 576,
  'model.prior.transformer.depth': 8,
  'model.prior.transformer.num_heads': 9,
  'model.prior.transformer.implementation': 'auto',
  'model.prior.transformer.dtype': 'bfloat16',
}
_BF16 = {'model.denoiser.dtype': 'bfloat16'}
# Title, config at size base, overrides, and number of clips.
TRAIN = (
  ('3-D U-Net, bfloat16', 'unet3d_digits', _BF16, 32),
  ('MoCoGAN, float32', 'mocogan_world', {}, 32),
  ('VideoGPT, bfloat16', 'videogpt_world', _GPT, 32),
  ('3-D U-Net, float32', 'unet3d_digits', {}, 32),
)
_TINY_TRAIN = (('VideoGPT', 'videogpt_world', {}, 2),)
# A small transformer, as VideoGPT's, and one of 0.3 G parameters.
_DECODERS = (
  ar_decode.Options(dtype='bfloat16'),
  ar_decode.Options(width=1024, depth=24, heads=16, dtype='bfloat16'),
)
_TINY_DECODERS = (ar_decode.Options(16, 16, 2, 2, (2, 2, 2), passes=1),)
_NEEDS_S = 8.0  # Seconds to compile and measure one of them.


def main(recorder: recording.Recorder) -> None:
  """Writes the results of this part."""
  tiny = recorder.tiny
  size = 'smoke' if tiny else 'base'
  measure = functools.partial(recorder.measure, needs=1.0 if tiny else _NEEDS_S)
  measure(
    f'world model of size {size}, one clip, per frame',
    lambda: world_speed.measure(size, 3 if tiny else 50),
  )
  for batch_size in (1,) if tiny else (1, 16):
    measure(
      f'sampling dit_world:{size}, Euler, guided, batch {batch_size}',
      functools.partial(sampling, size, batch_size),
    )
  for title, config, overrides, batch_size in _TINY_TRAIN if tiny else TRAIN:
    steps.measure_largest(
      recorder,
      f'train step of {title}',
      functools.partial(train_settings, config, size, overrides),
      batch_size,
      needs=1.0 if tiny else _NEEDS_S,
      seconds=0.2 if tiny else 1.0,
    )
  for options in _TINY_DECODERS if tiny else _DECODERS:
    for batch_size in (1,) if tiny else (1, 8):
      measure(
        f'codes by cache, {options.depth} blocks of {options.width},'
        f' {options.dtype}, batch {batch_size}',
        functools.partial(decoding, options, batch_size),
      )
  measure(f'causal_vae_world:{size}', lambda: autoencoder(size, 8))
  if tiny:
    note = 'It is too large for a CPU.'
    recorder.write('I3D', status='skipped', note=note)
  else:
    measure('I3D, 16 frames of 224 x 224, float32', lambda: i3d(16))


def train_settings(
  config: str, size: str, overrides: dict[str, Any], batch_size: int
) -> settings_lib.Settings:
  """Returns the settings of a train step.

  Args:
    config: Name of a file of configs/.
    size: Name of one of its sizes.
    overrides: {dotted path: value} of fields to change.
    batch_size: Number of clips in a step.
  """
  return steps.settings_of(
    config, size, {**overrides, 'batch_size': batch_size}
  )


def sampling(size: str, batch_size: int) -> dict[str, Any]:
  """Returns milliseconds per batch and clips per second of sampling."""
  settings = steps.settings_of('dit_world', size, {'batch_size': batch_size})
  model = steps.Model(settings)
  variables = jax.jit(lambda: model.make_state().variables())()
  keys = jax.random.split(jax.random.key(0), batch_size)
  condition = jax.device_put(steps.condition_of(model, batch_size))
  sample = jax.jit(functools.partial(model.model.apply, method='sample'))
  seconds = timing.seconds_per_call(lambda: sample(variables, keys, condition))
  return {
    'steps': settings.model['solver']['num_steps'],
    'ms': 1e3 * seconds,
    'clips_per_s': batch_size / seconds,
  }


def decoding(options: ar_decode.Options, batch_size: int) -> dict[str, float]:
  """Returns codes per second with the cache, and with recomputation."""
  copy = ar_decode.Copy()
  generation = ar_decode.Generation(options, batch_size)
  for _ in range(3):
    copy.measure()
    generation.measure()
  return generation.row(copy.bandwidth())


def autoencoder(size: str, batch_size: int) -> dict[str, float]:
  """Returns milliseconds and frames per second of the causal autoencoder."""
  settings = steps.settings_of('causal_vae_world', size, {'batch_size': 2})
  model = steps.Model(settings).model.autoencoder
  shape = (batch_size, *settings.clip_shape)
  clips = jax.random.normal(jax.random.key(0), shape)
  variables = jax.jit(model.init)(jax.random.key(1), clips[:1, :1])
  encode = jax.jit(functools.partial(model.apply, method='latents'))
  decode = jax.jit(functools.partial(model.apply, method='from_latents'))
  latents = jnp.zeros((batch_size, *model.latent_shape(settings.clip_shape)))
  frames = math.prod(shape[:2])
  values = {}
  for name, call in (
    ('encode', lambda: encode(variables, clips)),
    ('decode', lambda: decode(variables, latents)),
  ):
    seconds = timing.seconds_per_call(call)
    values[f'{name}_ms'] = 1e3 * seconds
    values[f'{name}_frames_per_s'] = frames / seconds
  return {'batch_size': batch_size, **values}


def i3d(batch_size: int) -> dict[str, float]:
  """Returns the clips per second of I3D with random weights."""
  row = metrics_speed.i3d_speed(batch_size, repeats=5)
  return {'batch_size': batch_size, 'clips_per_s': row['per_s']}


if __name__ == '__main__':
  main(recording.Recorder.from_command_line(__doc__))
