"""Class-conditional video diffusion that trains in minutes on a laptop.

The data are a synthetic dataset: a disc in one of six colours moves through 8
frames of 16 x 16 pixels, and the label is one of eight directions. Training is
fast because of a small network over patches with attention over the whole clip,
prediction of the clean clip, and the optimizer Muon.

  vgen demo

Sizes: `base`, for two CPU cores; `smoke`, for tests.
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
  config.num_steps = pick(base=1_200, smoke=4)

  config.data = dict(
    name='synthetic.world.source.World',
    label='direction',
    only=dict(shape=('circle',), size=('large',), speed=('quickly',)),
  )

  config.model = dict(
    name='families.diffusion.denoising.Diffusion',
    denoiser=dict(
      name='models.patch_unet.PatchUNet',
      width=pick(base=32, smoke=8),
      multipliers=pick(base=(1, 2), smoke=(1,)),
      num_heads=pick(base=4, smoke=2),
    ),
    prediction='x0',
    weight='velocity',
    # The direction of motion is determined at high noise levels.
    time_density=dict(name='families.diffusion.times.LogitNormal', mean=-1.0),
    class_dropout=0.1,
    guidance=3.0,
    clip_x0='static',
    # Fresh noise in each step corrects wrong paths; Heun's method keeps them.
    solver=dict(
      name='families.diffusion.solvers.Ancestral',
      num_steps=pick(base=40, smoke=2),
    ),
  )

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
  config.num_samples = pick(base=64, smoke=2)
  config.log_every = pick(base=50, smoke=1)
  config.sample_every = pick(base=0, smoke=4)  # The demo samples at the end.
  config.checkpoint_every = pick(base=1_200, smoke=2)
  return config
