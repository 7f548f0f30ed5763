"""SAVN on two distant discs in opposite phase, conditioned on their edges.

  vgen train --config=savn_mirror --workdir=runs/savn

`--config.model.generator.attention=full` or `pointwise` compares kinds of
attention with the same number of parameters.

Sizes: `base`, for one accelerator; `small`, for a CPU; `smoke`, for tests.
"""

from ml_collections import ConfigDict

SIZES = ('base', 'small', 'smoke')
NEEDS_ACCELERATOR = ('base',)


def get_config(size: str = 'base') -> ConfigDict:
  """Returns the config of a run of a `size` in SIZES."""
  pick = lambda **sizes: sizes[size]

  config = ConfigDict()
  config.seed = 0
  config.clip_shape = pick(  # t h w c
    base=(16, 32, 32, 3), small=(8, 16, 16, 3), smoke=(4, 16, 16, 3)
  )
  config.batch_size = pick(base=64, small=32, smoke=8)  # Over all devices.
  config.num_steps = pick(base=20_000, small=5_000, smoke=4)

  config.data = dict(name='synthetic.mirror.source.Mirror')

  critic = dict(
    width=pick(base=64, small=32, smoke=2),
    conditioning='projection',
    attention=pick(base='full', small='full', smoke='none'),
  )
  config.model = dict(
    name='families.adversarial.gan.GAN',
    generator=dict(
      name='models.savn.Generator',
      attention=pick(base='separable', small='separable', smoke='full'),
      width=pick(base=32, small=16, smoke=2),
      latent_width=pick(base=64, small=32, smoke=4),
      label_width=pick(base=32, small=16, smoke=4),
    ),
    critic=dict(
      frames=dict(
        name='models.conv_critic.ConvCritic',
        view='frames',
        num_frames=pick(base=8, small=2, smoke=2),
        **critic,
      ),
      clip=dict(
        name='models.conv_critic.ConvCritic',
        # If frames of 16 x 16 pixels were smaller, discs would be too small.
        space_scale=pick(base=2, small=1, smoke=1),
        **critic,
      ),
    ),
    penalty_kind='r1',
    penalty_weight=2.0,
  )

  config.optim = dict(
    name='adam',
    schedule=dict(
      name='constant', peak=pick(base=5e-4, small=1e-3, smoke=1e-3)
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
