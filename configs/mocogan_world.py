"""MoCoGAN on a synthetic dataset, conditioned on the direction of motion.

The critics have no batch norm and are regularized with R1 on real clips.

  vgen train --config=mocogan_world --workdir=runs/mocogan

Sizes: `base`, for one accelerator; `smoke`, for tests; `paper`, with the layers
of the paper, for comparison.
"""

from ml_collections import ConfigDict

SIZES = ('base', 'paper', 'smoke')
NEEDS_ACCELERATOR = ('base', 'paper')


def get_config(size: str = 'base') -> ConfigDict:
  """Returns the config of a run of `size` 'base', 'smoke' or 'paper'."""
  pick = lambda **sizes: {'paper': sizes['base'], **sizes}[size]
  width = pick(base=32, smoke=4, paper=64)

  config = ConfigDict()
  config.seed = 0
  config.clip_shape = pick(  # t h w c
    base=(16, 32, 32, 3), smoke=(8, 16, 16, 3), paper=(16, 64, 64, 3)
  )
  config.batch_size = pick(base=32, smoke=8)  # Clips, over all devices.
  config.num_steps = pick(base=20_000, smoke=4)

  config.data = dict(name='synthetic.world.source.World', label='direction')

  config.model = dict(
    name='families.adversarial.gan.GAN',
    generator=dict(
      name='models.mocogan.Generator',
      width=width,
      content_width=pick(base=16, smoke=4, paper=50),
      motion_width=pick(base=8, smoke=4, paper=10),
    ),
    critic=dict(
      image=dict(name='models.mocogan.ImageCritic', width=width),
      video=dict(name='models.mocogan.VideoCritic', width=width),
    ),
    penalty_kind='r1',
    penalty_weight=2.0,
    penalty_every=pick(base=1, smoke=2),
  )

  config.optim = dict(
    name='adam',
    schedule=dict(name='constant', peak=1e-3),
    b1=0.5,
    b2=0.999,
  )
  config.ema = dict(slow=dict(decay=0.999, warmup=True))

  # Periods, in steps.
  config.num_samples = pick(base=8, smoke=2)
  config.log_every = pick(base=100, smoke=1)
  config.sample_every = pick(base=2_000, smoke=4)
  config.checkpoint_every = pick(base=2_000, smoke=2)
  return config
