"""TGAN on a synthetic dataset, conditioned on the direction of motion.

The critic is trained with the Wasserstein loss; the singular values of its
kernels are clipped every 5 steps.

  vgen train --config=tgan_world --workdir=runs/tgan

Sizes: `base`, for one accelerator; `small`, slow discs only, for a CPU;
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
  pick = lambda **sizes: {'paper': sizes['base'], **sizes}[size]
  kernel_init = pick(
    base='lecun', small='lecun', smoke='lecun', paper='uniform_0.01'
  )

  config = ConfigDict()
  config.seed = 0
  config.clip_shape = pick(  # t h w c
    base=(16, 32, 32, 3),
    small=(8, 16, 16, 3),
    smoke=(4, 8, 8, 3),
    paper=(16, 64, 64, 3),
  )
  config.batch_size = pick(base=32, smoke=8, small=32)  # Over all devices.
  config.num_steps = pick(base=20_000, small=3_000, smoke=4, paper=100_000)

  config.data = dict(name='synthetic.world.source.World', label='direction')
  config.data.only = _DISCS if size == 'small' else {}
  config.data.meets_walls = size != 'small'

  config.model = dict(
    name='families.adversarial.gan.GAN',
    generator=dict(
      name='models.tgan.Generator',
      width=pick(base=32, small=32, smoke=4),
      temporal_width=pick(base=128, small=32, smoke=4),
      latent_width=pick(base=100, small=32, smoke=4),
      kernel_init=kernel_init,
    ),
    critic=dict(
      clip=dict(
        name='models.conv_critic.ConvCritic',
        width=pick(base=64, small=32, smoke=4),
        norm='batch_scale',
        conditioning='concat',
        kernel_init=kernel_init,
      ),
    ),
    loss_kind='wasserstein',
    constraint_kind='clip_singular_values',
    constraint_every=pick(base=5, small=5, smoke=2),
  )

  config.optim = dict(
    name='rmsprop',
    schedule=dict(
      name='constant',
      peak=pick(base=2e-4, small=5e-4, smoke=5e-4, paper=5e-5),
    ),
  )
  config.ema = dict(slow=dict(decay=0.999, warmup=True))

  # Periods, in steps.
  config.num_samples = pick(base=16, small=16, smoke=2)
  config.log_every = pick(base=100, small=100, smoke=1)
  config.sample_every = pick(base=2_000, small=500, smoke=4)
  config.checkpoint_every = pick(base=2_000, small=500, smoke=2)
  return config
