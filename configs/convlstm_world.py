"""A convolutional LSTM that predicts a moving object, frame by frame.

  vgen train --config=convlstm_world --workdir=runs/convlstm

The data are the synthetic dataset with one moving object. Two frames determine
its motion, so the mean of a Gaussian likelihood is sharp. In training, a
growing fraction of the input frames are the network's own predictions
(scheduled sampling), which makes long predictions stable.

Sizes: `base`, for one accelerator; `cpu`, smaller and with only large circles,
for two CPU cores; `smoke`, for tests.
"""

from ml_collections import ConfigDict

SIZES = ('base', 'cpu', 'smoke')
NEEDS_ACCELERATOR = ('base',)


def get_config(size: str = 'base') -> ConfigDict:
  """Returns the config of a run; see the docstring of this file for sizes."""
  pick = lambda **sizes: sizes[size]

  config = ConfigDict()
  config.seed = 0
  config.clip_shape = pick(
    base=(16, 64, 64, 3), cpu=(8, 16, 16, 3), smoke=(4, 8, 8, 3)
  )  # t h w c
  config.batch_size = pick(base=64, cpu=16, smoke=8)  # Clips, over all devices.
  config.num_steps = pick(base=50_000, cpu=3_000, smoke=4)

  few = dict(shape=('circle',), size=('large',), speed=('quickly',))
  config.data = dict(
    name='synthetic.world.source.World', only=pick(base={}, cpu=few, smoke={})
  )

  config.model = dict(
    name='families.prediction.recurrent.Recurrent',
    predictor=dict(
      name='models.convlstm.ConvLSTM',
      features=pick(base=(128, 64, 64), cpu=(48, 48), smoke=(4, 4)),
      kernel_size=pick(base=5, cpu=3, smoke=3),
      patch=pick(base=4, cpu=2, smoke=2),
    ),
    num_context=2,
    likelihood='gaussian',
    residual=True,
    scheduled_sampling=pick(base=5_000.0, cpu=100.0, smoke=1.0),
  )

  config.optim = dict(
    name='adamw',
    schedule=dict(
      name='warmup_cosine',
      peak=pick(base=1e-3, cpu=4e-3, smoke=1e-3),
      warmup_steps=pick(base=500, cpu=50, smoke=1),
    ),
    clip_norm=1.0,
    weight_decay=0.0,
  )
  config.ema = dict(fast=dict(decay=0.99, warmup=True))

  # Periods, in steps.
  config.num_samples = pick(base=8, cpu=8, smoke=2)
  config.log_every = pick(base=100, cpu=50, smoke=1)
  config.sample_every = pick(base=5_000, cpu=500, smoke=4)
  config.checkpoint_every = pick(base=5_000, cpu=500, smoke=2)
  return config
