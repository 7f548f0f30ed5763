"""VGAN on a synthetic dataset, conditioned on the direction of motion.

  vgen train --config=vgan_world --workdir=runs/vgan

Sizes: `base`, for one accelerator; `small`, slow discs only, for two CPU cores,
with R1 and a classifier in place of the critic's batch norm and labels;
`smoke`, for tests; `paper`, with the layers and the optimizer of the paper, for
comparison.
"""

from ml_collections import ConfigDict

SIZES = ('base', 'paper', 'small', 'smoke')
NEEDS_ACCELERATOR = ('base', 'paper')
_DISCS = dict(shape='circle', size='large', speed='slowly')
_DISCS['direction'] = ('right', 'down', 'left', 'up')


def get_config(size: str = 'base') -> ConfigDict:
  """Returns the config of a run of a `size` in SIZES."""
  pick = lambda **sizes: sizes.get(size, sizes['base'])
  width = pick(base=64, small=32, smoke=4)
  kernel_init = pick(base='lecun', paper='normal_0.01')

  config = ConfigDict()
  config.seed = 0
  config.clip_shape = pick(  # t h w c
    base=(16, 32, 32, 3),
    small=(8, 16, 16, 3),
    smoke=(4, 8, 8, 3),
    paper=(32, 64, 64, 3),
  )
  config.batch_size = pick(base=64, small=32, smoke=8)  # Over all devices.
  config.num_steps = pick(base=20_000, small=5_000, smoke=4)

  config.data = dict(name='synthetic.world.source.World', label='direction')
  config.data.only = pick(base={}, small=_DISCS)
  config.data.meets_walls = size != 'small'

  config.model = dict(
    name='families.adversarial.gan.GAN',
    generator=dict(
      name='models.vgan.Generator',
      width=width,
      latent_width=pick(base=100, small=32, smoke=4),
      mask_weight=pick(base=0.1, small=0.5),
      kernel_init=kernel_init,
    ),
    critic=dict(
      clip=dict(
        name='models.conv_critic.ConvCritic',
        width=width,
        norm=pick(base='batch', small='none'),
        conditioning=pick(base='concat', small='classes'),
        kernel_init=kernel_init,
      ),
    ),
    penalty_kind=pick(base='none', small='r1'),
    penalty_weight=2.0,
  )

  config.optim = dict(
    name='adam',
    schedule=pick(
      base=dict(name='constant', peak=2e-4),
      small=dict(name='wsd', peak=1e-3, decay_fraction=0.3),
      smoke=dict(name='constant', peak=5e-4),
    ),
    b1=0.5,
    b2=0.999,
  )
  config.ema = dict(slow=dict(decay=0.999, warmup=True))

  # Periods, in steps.
  config.num_samples = pick(base=16, small=16, smoke=2)
  config.log_every = pick(base=100, small=50, smoke=1)
  config.sample_every = pick(base=2_000, small=500, smoke=4)
  config.checkpoint_every = pick(base=2_000, small=500, smoke=2)
  return config
