"""Flow matching with a small DiT over the latents of a tokenizer.

  vgen train --config=fsq_world --workdir=runs/fsq_world
  vgen train --config=flow_latent_world --workdir=runs/flow_latent

A tokenizer maps a clip of the synthetic dataset with one moving object to
4 x 4 x 4 latents of three numbers. Generated latents are quantized to the
codebook before they are decoded.

Sizes: `base`, for two processor cores; `smoke`, for tests.
"""

from ml_collections import ConfigDict

SIZES = ('base', 'smoke')


def get_config(size: str = 'base') -> ConfigDict:
  """Returns the config of a run of `size` 'base' or 'smoke'."""
  pick = lambda **sizes: sizes[size]

  config = ConfigDict()
  config.seed = 0
  config.clip_shape = pick(base=(8, 16, 16, 3), smoke=(4, 8, 8, 3))  # t h w c
  config.batch_size = pick(base=32, smoke=8)  # Clips, over all devices.
  config.num_steps = pick(base=1_000, smoke=4)

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
        name='models.dit.VideoDiT',
        width=pick(base=128, smoke=16),
        depth=pick(base=4, smoke=2),
        num_heads=pick(base=4, smoke=2),
        patch_size=(1, 1, 1),
        attention='full',
        positions='both',
      ),
      prediction='velocity',
      class_dropout=0.1,
      guidance=1.5,
      solver=dict(
        name='families.diffusion.solvers.Heun', num_steps=pick(base=20, smoke=2)
      ),
    ),
  )
  # The tokenizer is that of this run, which must be trained first.
  config.frozen = dict(autoencoder='runs/fsq_world')

  config.optim = dict(
    name='muon',
    schedule=dict(
      name='warmup_cosine', peak=0.02, warmup_steps=pick(base=50, smoke=1)
    ),
    adam_ratio=0.1,
    weight_decay=0.01,
    clip_norm=1.0,
  )
  config.ema = dict(fast=dict(decay=0.99, warmup=True))

  # Periods, in steps.
  config.num_samples = pick(base=16, smoke=2)
  config.log_every = pick(base=50, smoke=1)
  config.sample_every = pick(base=1_000, smoke=4)
  config.checkpoint_every = pick(base=1_000, smoke=2)
  return config
