"""Flow matching over the latents of a tokenizer, on a synthetic dataset.

  vgen train --config=gaussian_world --workdir=runs/gaussian_world
  vgen train --config=flow_latent_world --workdir=runs/flow

A tokenizer maps a clip of the synthetic dataset with one moving object to a
grid of latents, and a small U-Net with attention is trained to denoise them.
With `--config.frozen.autoencoder=runs/fsq_world`, they are the latents of
fsq_world.py, which are quantized to the codebook before they are decoded.

Sizes: `base` and `small`, which are the same, for two CPU cores; `smoke`, for
tests.
"""

from ml_collections import ConfigDict

SIZES = ('base', 'small', 'smoke')


def get_config(size: str = 'base') -> ConfigDict:
  """Returns the config of a run of `size` 'base', 'small' or 'smoke'."""
  pick = lambda **sizes: {'small': sizes['base'], **sizes}[size]

  config = ConfigDict()
  config.seed = 0
  config.clip_shape = pick(base=(8, 16, 16, 3), smoke=(4, 8, 8, 3))  # t h w c
  config.batch_size = pick(base=16, smoke=8)  # Clips, over all devices.
  config.num_steps = pick(base=3_000, smoke=4)

  config.data = dict(
    name='synthetic.world.source.World',
    label='direction',
    only=dict(shape=('circle',), size=('large',), speed=('quickly',)),
  )

  config.model = dict(
    name='families.latent.Latent',
    prior=dict(
      name='families.diffusion.denoising.Diffusion',
      denoiser=dict(
        name='models.patch_unet.PatchUNet',
        width=pick(base=96, smoke=16),
        multipliers=(1,),  # One level: attention has the same grid.
        patch_size=1,
      ),
      prediction='x0',
      weight='velocity',
      time_density=dict(name='families.diffusion.times.LogitNormal', mean=-0.5),
      class_dropout=0.1,
      guidance=1.5,
      solver=dict(
        name='families.diffusion.solvers.Heun', num_steps=pick(base=20, smoke=2)
      ),
    ),
  )
  # The tokenizer is that of this run, which must be trained first.
  config.frozen = dict(autoencoder='runs/gaussian_world')

  config.optim = dict(
    name='muon',
    schedule=dict(
      name='warmup_cosine', peak=0.02, warmup_steps=pick(base=50, smoke=1)
    ),
    adam_ratio=0.1,
    clip_norm=1.0,
  )
  config.ema = dict(fast=dict(decay=0.99, warmup=True))

  # Periods, in steps.
  config.num_samples = pick(base=16, smoke=2)
  config.log_every = pick(base=50, smoke=1)
  config.sample_every = pick(base=1_000, smoke=4)
  config.checkpoint_every = pick(base=500, smoke=2)
  return config
