"""A modern GAN on a synthetic dataset, conditioned on the direction of motion.

The networks are those of vgan_world.py without batch norm. The loss compares
generated and real clips in pairs and is regularized with R1 and R2 (Huang et
al., "The GAN is dead; long live the GAN! A Modern GAN Baseline", 2024,
https://arxiv.org/abs/2501.05441); their networks for images are not used.

  vgen train --config=r3gan_world --workdir=runs/r3gan

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
  config.num_steps = pick(base=20_000, small=2_000, smoke=4)

  config.data = dict(name='synthetic.world.source.World', label='direction')
  config.data.only = _DISCS if size == 'small' else {}
  config.data.meets_walls = size != 'small'

  config.model = dict(
    name='families.adversarial.gan.GAN',
    generator=dict(
      name='models.vgan.Generator',
      width=width,
      latent_width=pick(base=100, small=32, smoke=4),
      norm='none',
    ),
    critic=dict(
      clip=dict(
        name='models.conv_critic.ConvCritic',
        width=width,
        conditioning='projection',
      ),
    ),
    loss_kind='relativistic',
    penalty_kind='r1+r2',
    penalty_weight=1.0,
    augment=('translation',),
  )

  config.optim = dict(
    name='adam',
    schedule=dict(
      name='warmup_cosine',
      peak=pick(base=5e-4, small=1e-3, smoke=1e-3),
      warmup_steps=pick(base=1_000, small=100, smoke=1),
    ),
    b1=0.0,
    b2=0.99,
  )
  config.ema = dict(slow=dict(decay=0.999, warmup=True))

  # Periods, in steps.
  config.num_samples = pick(base=16, small=16, smoke=2)
  config.log_every = pick(base=100, small=100, smoke=1)
  config.sample_every = pick(base=2_000, small=500, smoke=4)
  config.checkpoint_every = pick(base=2_000, small=500, smoke=2)
  return config
