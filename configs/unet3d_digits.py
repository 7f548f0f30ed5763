"""Class-conditional video diffusion with a 3-D U-Net, on moving digits.

Each clip shows one moving handwritten digit (from scikit-learn); its label is
the digit. The objective is flow matching with prediction of the clean clip.

  vgen train --config=unet3d_digits --workdir=runs/unet3d_digits

Sizes: `base`, for one accelerator; `small`, for a CPU
(experiments/zoo/diffusion.md); `smoke`, for tests.
"""

from ml_collections import ConfigDict

SIZES = ('base', 'small', 'smoke')
NEEDS_ACCELERATOR = ('base',)


def get_config(size: str = 'base') -> ConfigDict:
  """Returns the config of a run of `size` 'base', 'small' or 'smoke'."""
  pick = lambda **sizes: sizes.get(size, sizes['base'])

  config = ConfigDict()
  config.seed = 0
  shape = pick(base=(16, 64, 64), small=(8, 16, 16), smoke=(4, 16, 16))
  config.clip_shape = (*shape, 1)  # t h w c
  config.batch_size = pick(base=64, small=16, smoke=8)  # Over all devices.
  config.num_steps = pick(base=60_000, small=2_000, smoke=4)

  config.data = dict(name='synthetic.digits.source.MovingDigits', num_digits=1)

  config.model = dict(
    name='families.diffusion.denoising.Diffusion',
    denoiser=dict(
      name='models.unet3d.UNet3D',
      width=pick(base=64, small=24, smoke=8),
      multipliers=pick(base=(1, 2, 4, 8), small=(1, 2), smoke=(1,)),
      blocks_per_level=pick(base=2, small=1, smoke=1),
      attention_levels=pick(base=(2, 3), small=(1,), smoke=(0,)),
      temporal_attention_levels=pick(base=(1, 2, 3), small=(0, 1), smoke=(0,)),
      head_width=pick(base=32, small=24, smoke=8),
      patch_size=pick(base=1, small=2, smoke=1),
      temporal_kernel=pick(base=1, small=3, smoke=1),
    ),
    prediction='x0',
    weight='velocity',
    time_density=dict(
      name='families.diffusion.times.LogitNormal',
      mean=pick(base=0.0, small=-1.0),  # With -1, noise levels are higher.
    ),
    class_dropout=0.1,
    guidance=2.0,
    solver=dict(
      name='families.diffusion.solvers.' + pick(base='Heun', small='Ancestral'),
      num_steps=pick(base=32, small=40, smoke=2),
    ),
  )

  peak, warmup = pick(base=(2e-4, 1_000), small=(0.02, 50), smoke=(2e-4, 1))
  adamw = dict(name='adamw', b2=0.99, weight_decay=0.01)
  config.optim = dict(
    **pick(base=adamw, small=dict(name='muon', adam_ratio=0.1)),
    schedule=dict(name='warmup_cosine', peak=peak, warmup_steps=warmup),
    clip_norm=1.0,
  )
  decay = pick(base=0.9999, small=0.99)
  config.ema = dict(slow=dict(decay=decay, warmup=True))

  # Periods, in steps.
  config.num_samples = pick(base=10, smoke=2)
  config.log_every = pick(base=100, small=50, smoke=1)
  config.sample_every = pick(base=5_000, small=1_000, smoke=4)
  config.checkpoint_every = pick(base=5_000, small=500, smoke=2)
  return config
