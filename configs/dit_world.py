"""Flow matching with a video DiT, on a synthetic dataset.

  vgen train --config=dit_world --workdir=runs/dit_world

Each clip shows one moving object; the label is its direction. Patches hold 96
numbers, fewer than the width: with larger patches, velocities are not learned.

Sizes: `base`, for one accelerator; `S`, `B`, `L`, `XL`, as in DiT; `small`,
for a CPU, see experiments/zoo/diffusion.md; `smoke`, for tests.
"""

from ml_collections import ConfigDict

# Width, depth, heads: Peebles & Xie, 2022, https://arxiv.org/abs/2212.09748.
_DIT = dict(S=(384, 12, 6), B=(768, 12, 12), L=(1024, 24, 16))
_DIT |= dict(XL=(1152, 28, 16), small=(128, 4, 4), smoke=(16, 2, 2))
SIZES = ('base', *_DIT)
NEEDS_ACCELERATOR = ('base', 'S', 'B', 'L', 'XL')
_DISCS = dict(shape=('circle',), size=('large',), speed=('quickly',))


def get_config(size: str = 'base') -> ConfigDict:
  """Returns the config of a run; see the docstring of this file for sizes."""
  pick = lambda **sizes: sizes.get(size, sizes['base'])
  width, depth, heads = _DIT.get(size, _DIT['S'])

  config = ConfigDict()
  config.seed = 0
  shape = pick(base=(16, 64, 64), small=(8, 16, 16), smoke=(4, 16, 16))
  config.clip_shape = (*shape, 3)  # t h w c
  config.batch_size = pick(base=64, small=16, smoke=8)  # Over all devices.
  config.num_steps = pick(base=50_000, small=4_000, smoke=4)

  config.data = dict(name='synthetic.world.source.World', label='direction')
  config.data.only = pick(base={}, small=_DISCS)

  config.model = dict(
    name='families.diffusion.denoising.Diffusion',
    denoiser=dict(
      name='models.dit.VideoDiT',
      width=width,
      depth=depth,
      num_heads=heads,
      patch_size=(2, 4, 4),
      attention=pick(base='factorised', small='full'),
      positions=pick(base='rotary', small='both'),
      remat='full' if size in ('L', 'XL') else 'none',
      dtype=pick(base='bfloat16', small='float32', smoke='float32'),
    ),
    prediction=pick(base='velocity', small='x0'),
    weight=pick(base='unit', small='velocity'),
    time_density=dict(
      name='families.diffusion.times.LogitNormal',
      mean=pick(base=0.0, small=-1.0),
    ),
    class_dropout=0.1,
    guidance=pick(base=1.5, small=2.0),
    solver=dict(
      name='families.diffusion.solvers.'
      + pick(base='Euler', small='Ancestral'),
      num_steps=pick(base=50, small=40, smoke=2),
    ),
  )
  peak, warmup = pick(base=(3e-4, 1_000), small=(0.02, 50), smoke=(3e-4, 1))
  adamw = dict(name='adamw', b2=0.99, weight_decay=0.01)
  config.optim = dict(
    **pick(base=adamw, small=dict(name='muon', adam_ratio=0.1)),
    schedule=dict(name='warmup_cosine', peak=peak, warmup_steps=warmup),
    clip_norm=1.0,
  )
  config.ema = dict(slow=dict(decay=pick(base=0.9999, small=0.99), warmup=True))

  # Periods, in steps.
  config.num_samples = pick(base=8, small=16, smoke=4)
  config.log_every = pick(base=100, small=50, smoke=1)
  config.sample_every = pick(base=5_000, small=1_000, smoke=4)
  config.evaluate_every = pick(base=5_000, small=1_000, smoke=4)
  config.evaluation = dict(num_clips=pick(base=64, smoke=4))
  config.checkpoint_every = pick(base=5_000, small=500, smoke=2)
  return config
