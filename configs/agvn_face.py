"""AGVN on speaking faces: a first frame, animated by sound and expression.

Conditions nearly determine a clip, so the generator's loss includes the mean
absolute error against the real clip.

  vgen train --config=agvn_face --workdir=runs/agvn

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
  config.num_steps = pick(base=20_000, small=2_000, smoke=4)

  config.data = dict(name='synthetic.face.source.Face')

  critic = dict(
    name='models.conv_critic.ConvCritic',
    width=pick(base=64, small=32, smoke=2),
    conditioning='projection',
    norm='spectral',
  )
  frames = dict(view='frames', num_frames=pick(base=4, small=2, smoke=1))
  both = dict(frames=frames | critic, clip=critic)
  config.model = dict(
    name='families.adversarial.gan.GAN',
    generator=dict(
      name='models.agvn.Generator',
      width=pick(base=64, small=32, smoke=2),
      motion_width=pick(base=64, small=32, smoke=4),
      latent_width=pick(base=8, small=4, smoke=2),
    ),
    critic=pick(base=both, small=both, smoke=dict(clip=critic)),
    loss_kind='hinge',
    num_context=1,
    reconstruction_weight=100.0,
  )

  config.optim = dict(
    name='adam',
    schedule=dict(
      name='constant', peak=pick(base=2e-4, small=1e-3, smoke=1e-3)
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
