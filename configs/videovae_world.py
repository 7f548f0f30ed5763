"""VideoVAE, whose clips are controlled by a colour and a direction.

  vgen train --config=videovae_world --workdir=runs/videovae
  vgen sample --workdir=runs/videovae --label='red left'

A disc in one of six colours moves in one of four directions, without meeting a
wall. Its label encodes both. experiments/zoo/prediction/attribute_control.py
measures whether clips have the requested attributes, also in a combination that
is held out of training, and follow attributes that change over time.

Sizes: `base`, for one accelerator; `small`, for a CPU core in about 20 minutes;
`smoke`, for tests; `paper`, with layers as stated in models/videovae.py.
"""

from ml_collections import ConfigDict

SIZES = ('base', 'paper', 'small', 'smoke')
NEEDS_ACCELERATOR = ('base', 'paper')

_FOUR = ('right', 'down', 'left', 'up')


def get_config(size: str = 'base') -> ConfigDict:
  """Returns the config of a run of a `size` in SIZES."""
  pick = lambda **sizes: sizes.get(size, sizes['base'])

  config = ConfigDict()
  config.seed = 0
  config.clip_shape = pick(  # t h w c
    base=(10, 64, 64, 3), small=(8, 16, 16, 3), smoke=(4, 16, 16, 3)
  )
  config.batch_size = pick(base=64, paper=32, small=32, smoke=8)
  config.num_steps = pick(base=20_000, small=14_000, smoke=4)

  config.data = dict(
    name='synthetic.world.source.World',
    label=('color', 'direction'),
    only=dict(shape='circle', size='large', speed='slowly', direction=_FOUR),
    held_out=(dict(color='red', direction='left'),),
    meets_walls=False,
  )

  config.model = dict(
    name='families.prediction.holistic.Holistic',
    predictor=dict(
      name='models.videovae.VideoVAE',
      attribute_sizes=(6, 4),  # Colours, directions.
      layers=pick(  # Channels, side of the kernel, stride.
        base=((32, 4, 2), (64, 5, 2), (128, 5, 2), (256, 3, 2)),
        paper=((10, 9, 1), (20, 7, 3), (40, 5, 1), (80, 3, 3)),
        small=((16, 4, 2), (32, 3, 2)),
        smoke=((4, 4, 2), (4, 3, 2)),
      ),
      dense_widths=pick(base=(1024,), small=(128,), smoke=(8,)),
      code_width=pick(base=512, small=128, smoke=8),
      latent_width=pick(base=64, paper=512, small=32, smoke=2),
      hidden_width=pick(base=512, small=128, smoke=4),
      stage_width=pick(base=128, small=128, smoke=4),
      dropout=pick(base=0.0, paper=0.5, small=0.0, smoke=0.5),
    ),
    # With the paper's absolute error, the optimum is the median, in which the
    # disc disappears. The paper's error is a sum over pixels, this one a mean.
    error=pick(base='l2', paper='l1'),
    beta=pick(base=3e-5, paper=1 / (64 * 64 * 3), small=4e-4, smoke=4e-4),
    infer_attributes=size == 'paper',
  )

  schedule = pick(
    base=dict(name='warmup_cosine', peak=1e-3),
    paper=dict(name='constant', peak=1e-4),
  )
  config.optim = dict(name='adam', schedule=schedule, clip_norm=1.0)
  config.ema = dict(fast=dict(decay=0.99, warmup=True))

  # Periods, in steps.
  config.num_samples = pick(base=24, smoke=2)
  config.log_every = pick(base=100, smoke=1)
  config.sample_every = pick(base=2_000, smoke=4)
  config.checkpoint_every = pick(base=2_000, smoke=2)
  return config
