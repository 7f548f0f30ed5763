"""STGAN on a synthetic dataset, conditioned on the direction of motion.

The generator and the critic have attention over space and time. The critic has
no batch norm and is regularized with R1 on real clips.

  vgen train --config=stgan_world --workdir=runs/stgan

Sizes: `base`, for one accelerator; `small`, slow discs only, for a CPU;
`smoke`, for tests.
"""

from ml_collections import ConfigDict

SIZES = ('base', 'small', 'smoke')
NEEDS_ACCELERATOR = ('base',)

_DISCS = dict(shape='circle', size='large', speed='slowly')
_DISCS['direction'] = ('right', 'down', 'left', 'up')


def get_config(size: str = 'base') -> ConfigDict:
  """Returns the config of a run of a `size` in SIZES."""
  pick = lambda **sizes: sizes[size]
  width = pick(base=64, small=32, smoke=4)

  config = ConfigDict()
  config.seed = 0
  config.clip_shape = pick(  # t h w c
    base=(16, 32, 32, 3), small=(8, 16, 16, 3), smoke=(4, 8, 8, 3)
  )
  config.batch_size = pick(base=64, small=32, smoke=8)  # Over all devices.
  config.num_steps = pick(base=20_000, small=6_000, smoke=4)

  config.data = dict(name='synthetic.world.source.World', label='direction')
  config.data.only = _DISCS if size == 'small' else {}
  config.data.meets_walls = size != 'small'

  config.model = dict(
    name='families.adversarial.gan.GAN',
    generator=dict(
      name='models.stgan.Generator',
      width=width,
      latent_width=pick(base=100, small=32, smoke=4),
    ),
    critic=dict(
      clip=dict(
        name='models.conv_critic.ConvCritic',
        width=width,
        conditioning='projection',
        attention='additive',
      ),
    ),
    penalty_kind='r1',
    penalty_weight=2.0,
  )

  config.optim = dict(
    name='adam',
    schedule=pick(
      base=dict(name='constant', peak=5e-4),
      small=dict(name='wsd', peak=1e-3, decay_fraction=0.3),
      smoke=dict(name='constant', peak=1e-3),
    ),
    b1=0.5,
    b2=0.999,
  )
  config.ema = dict(slow=dict(decay=0.999, warmup=True))

  # Periods, in steps.
  config.num_samples = pick(base=16, small=16, smoke=2)
  config.log_every = pick(base=100, small=100, smoke=1)
  config.sample_every = pick(base=2_000, small=500, smoke=4)
  config.checkpoint_every = pick(base=2_000, small=500, smoke=2)
  return config
