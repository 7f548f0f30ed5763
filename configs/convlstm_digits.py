"""A convolutional LSTM that predicts moving digits, frame by frame.

  vgen train --config=convlstm_digits --workdir=runs/convlstm_digits

Two handwritten digits move in each clip. Ten frames are given and ten are
predicted, as with the moving digits of Shi et al., "Convolutional LSTM Network:
A Machine Learning Approach for Precipitation Nowcasting", 2015,
https://arxiv.org/abs/1506.04214. Each pixel is one of 8 levels of grey, so the
likelihood is discrete. In training, a growing fraction of the input frames are
the network's own predictions (scheduled sampling).

Sizes: `base`, for one accelerator; `smoke`, for tests.
"""

from ml_collections import ConfigDict

SIZES = ('base', 'smoke')
NEEDS_ACCELERATOR = ('base',)


def get_config(size: str = 'base') -> ConfigDict:
  """Returns the config of a run of `size` 'base' or 'smoke'."""
  pick = lambda **sizes: sizes[size]

  config = ConfigDict()
  config.seed = 0
  config.clip_shape = pick(base=(20, 64, 64, 1), smoke=(4, 8, 8, 1))  # t h w c
  config.batch_size = pick(base=64, smoke=8)  # Clips, over all devices.
  config.num_steps = pick(base=50_000, smoke=4)

  config.data = dict(name='synthetic.digits.source.MovingDigits', num_digits=2)

  config.model = dict(
    name='families.prediction.recurrent.Recurrent',
    predictor=dict(
      name='models.convlstm.ConvLSTM',
      features=pick(base=(128, 64, 64), smoke=(4, 4)),
      kernel_size=pick(base=5, smoke=3),
      patch=pick(base=4, smoke=2),
    ),
    num_context=pick(base=10, smoke=2),
    likelihood='levels',
    num_levels=8,
    scheduled_sampling=pick(base=5_000.0, smoke=1.0),
  )

  config.optim = dict(
    name='adamw',
    schedule=dict(
      name='warmup_cosine',
      peak=pick(base=1e-3, smoke=1e-3),
      warmup_steps=pick(base=500, smoke=1),
    ),
    clip_norm=1.0,
    weight_decay=0.0,
  )
  config.ema = dict(fast=dict(decay=0.99, warmup=True))

  # Periods, in steps.
  config.num_samples = pick(base=8, smoke=2)
  config.log_every = pick(base=100, smoke=1)
  config.sample_every = pick(base=5_000, smoke=4)
  config.checkpoint_every = pick(base=5_000, smoke=2)
  return config
