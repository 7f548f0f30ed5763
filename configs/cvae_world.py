"""A conditional VAE that generates clips of a requested colour and direction.

  vgen train --config=cvae_world --workdir=runs/cvae
  vgen sample --workdir=runs/cvae --label='red left'

A disc in one of six colours moves in one of four directions. The label names
both, so a latent of a clip holds the start only.
`--config.model.network.first_frame=True` also gives the first frame, and with
`--config.model.network.num_classes=0` instead of the label.
`--config.model.recognition_weight=0.5` trains the hybrid of the paper.

Sizes: `base`, for two CPU cores; `smoke`, for tests.
"""

from ml_collections import ConfigDict

SIZES = ('base', 'smoke')


def get_config(size: str = 'base') -> ConfigDict:
  """Returns the config of a run of `size` 'base' or 'smoke'."""
  pick = lambda **sizes: sizes[size]

  config = ConfigDict()
  config.seed = 0
  config.clip_shape = pick(base=(8, 16, 16, 3), smoke=(4, 8, 8, 3))  # t h w c
  config.batch_size = pick(base=32, smoke=8)  # Clips, over all devices.
  config.num_steps = pick(base=4_000, smoke=4)

  four = ('right', 'down', 'left', 'up')
  config.data = dict(
    name='synthetic.world.source.World',
    label=('color', 'direction'),
    only=dict(shape='circle', size='large', speed='slowly', direction=four),
    meets_walls=False,
  )

  config.model = dict(
    name='families.prediction.conditional.ConditionalVAE',
    network=dict(
      name='models.cvae.ClipCVAE',
      latent_width=pick(base=4, smoke=2),
      prior='learned',
      widths=pick(base=(16, 32, 64), smoke=(4, 8, 16)),
      dense_widths=pick(base=(256, 256), smoke=(16,)),
      time_strides=(1, 2, 2),
    ),
    likelihood=dict(
      name='families.autoencoding.likelihoods.Gaussian', scale=0.3
    ),
    beta_warmup=pick(base=200, smoke=2),  # Steps.
  )

  config.optim = dict(
    name='adam',
    schedule=dict(
      name='warmup_cosine', peak=2e-3, warmup_steps=pick(base=50, smoke=1)
    ),
    clip_norm=1.0,
  )
  config.ema = dict(fast=dict(decay=0.99, warmup=True))

  # Periods, in steps.
  config.num_samples = pick(base=24, smoke=2)
  config.log_every = pick(base=50, smoke=1)
  config.sample_every = pick(base=2_000, smoke=4)
  config.checkpoint_every = pick(base=500, smoke=2)
  return config
