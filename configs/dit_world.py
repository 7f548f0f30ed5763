"""Flow matching with a video DiT, on a synthetic dataset.

  vgen train --config=dit_world --workdir=runs/dit_world

Each clip shows one moving object; the label is the direction of motion. Patches
hold 2 x 4 x 4 x 3 = 96 numbers, fewer than the width; networks with larger
patches do not learn to predict velocities.

Sizes: `base`, for one accelerator; `S`, `B`, `L`, `XL`, as in DiT; `smoke`.
"""

from ml_collections import ConfigDict

# Width, depth, heads: Peebles & Xie, 2022, https://arxiv.org/abs/2212.09748.
_DIT = {
  'base': (384, 12, 6),
  'S': (384, 12, 6),
  'B': (768, 12, 12),
  'L': (1024, 24, 16),
  'XL': (1152, 28, 16),
  'smoke': (16, 2, 2),
}
SIZES = tuple(_DIT)
NEEDS_ACCELERATOR = SIZES[:-1]


def get_config(size: str = 'base') -> ConfigDict:
  """Returns the config of a run; see the docstring of this file for sizes."""
  pick = lambda **sizes: sizes['smoke' if size == 'smoke' else 'base']
  width, depth, heads = _DIT[size]

  config = ConfigDict()
  config.seed = 0
  # t h w c
  config.clip_shape = pick(base=(16, 64, 64, 3), smoke=(4, 16, 16, 3))
  config.batch_size = pick(base=64, smoke=8)  # Clips, over all devices.
  config.num_steps = pick(base=50_000, smoke=4)

  config.data = dict(name='synthetic.world.source.World', label='direction')

  config.model = dict(
    name='families.diffusion.denoising.Diffusion',
    denoiser=dict(
      name='models.dit.VideoDiT',
      width=width,
      depth=depth,
      num_heads=heads,
      patch_size=pick(base=(2, 4, 4), smoke=(2, 4, 4)),
      attention='factorised',
      remat='full' if size in ('L', 'XL') else 'none',
      dtype=pick(base='bfloat16', smoke='float32'),
    ),
    prediction='velocity',
    time_density=dict(name='families.diffusion.times.LogitNormal'),
    class_dropout=0.1,
    guidance=1.5,
    solver=dict(
      name='families.diffusion.solvers.Euler', num_steps=pick(base=50, smoke=2)
    ),
  )

  config.optim = dict(
    name='adamw',
    schedule=dict(
      name='warmup_cosine', peak=3e-4, warmup_steps=pick(base=1_000, smoke=1)
    ),
    clip_norm=1.0,
    b2=0.99,
    weight_decay=0.01,
  )
  config.ema = dict(slow=dict(decay=0.9999, warmup=True))

  # Periods, in steps.
  config.num_samples = pick(base=8, smoke=2)
  config.log_every = pick(base=100, smoke=1)
  config.sample_every = pick(base=5_000, smoke=4)
  config.evaluate_every = pick(base=5_000, smoke=4)
  config.evaluation = dict(num_clips=pick(base=64, smoke=4))
  config.checkpoint_every = pick(base=5_000, smoke=2)
  return config
