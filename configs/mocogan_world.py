"""MoCoGAN on a synthetic dataset, conditioned on the direction of motion.

The critics have no batch norm and are regularized with R1 on real clips, except
in the size `paper`.

  vgen train --config=mocogan_world --workdir=runs/mocogan

Sizes: `base`, for one accelerator; `small`, discs that move in four directions
and meet no wall, for a CPU (experiments/zoo/mocogan.md); `smoke`, for tests;
`paper`, with the layers, the losses and the learning rate of the released code,
but no noise layers and no weight decay, for comparison.
"""

from ml_collections import ConfigDict

SIZES = ('base', 'paper', 'small', 'smoke')
NEEDS_ACCELERATOR = ('base', 'paper')
_DISCS = dict(
  shape=('circle',),
  size=('large',),
  speed=('quickly',),
  direction=('right', 'down', 'left', 'up'),
)


def get_config(size: str = 'base') -> ConfigDict:
  """Returns the config of a run of a `size` in SIZES."""
  pick = lambda **sizes: sizes.get(size, sizes['base'])
  width = pick(base=32, smoke=4, paper=64)
  norm = pick(base='none', paper='batch')

  config = ConfigDict()
  config.seed = 0
  config.clip_shape = pick(  # t h w c
    base=(16, 32, 32, 3), small=(6, 16, 16, 3), smoke=(8, 16, 16, 3),
    paper=(16, 64, 64, 3),
  )  # fmt: skip
  config.batch_size = pick(base=32, smoke=8)  # Over all devices.
  config.num_steps = pick(base=20_000, small=30_000, smoke=4)

  config.data = dict(name='synthetic.world.source.World', label='direction')
  config.data.only = pick(base={}, small=_DISCS)
  config.data.meets_walls = size != 'small'

  config.model = dict(
    name='families.adversarial.gan.GAN',
    generator=dict(
      name='models.mocogan.Generator',
      width=width,
      content_width=pick(base=16, small=8, smoke=4, paper=50),
      motion_width=pick(base=8, small=16, smoke=4, paper=10),
    ),
    critic=dict(
      image=dict(name='models.mocogan.ImageCritic', width=width, norm=norm),
      video=dict(name='models.mocogan.VideoCritic', width=width, norm=norm),
    ),
    penalty_kind=pick(base='r1', paper='none'),
    penalty_weight=2.0,
    penalty_every=pick(base=1, smoke=2),
  )

  config.optim = dict(
    name='adam',
    schedule=pick(
      base=dict(name='constant', peak=1e-3),
      small=dict(name='wsd', peak=1e-3, decay_fraction=0.3),
      paper=dict(name='constant', peak=2e-4),
    ),
    b1=0.5,
    b2=0.999,
  )
  config.ema = dict(slow=dict(decay=0.999, warmup=True))

  # Periods, in steps.
  config.num_samples = pick(base=8, small=16, smoke=2)
  config.log_every = pick(base=100, small=50, smoke=1)
  config.sample_every = pick(base=2_000, smoke=4)
  config.checkpoint_every = pick(base=2_000, small=500, smoke=2)
  return config
