"""SVG with a learned prior, on clips whose past has two futures.

  vgen train --config=svg_two_futures --workdir=runs/svg

A disc moves up in the first three of eight frames, and then to the left or to
the right. The latent of the frame where the futures diverge must encode the
direction, and the prior must cover both directions;
`experiments/zoo/prediction/stochastic_prediction.py` measures this.
`--config.model.predictor.prior=fixed` trains SVG-FP.

Sizes: `base`, for one accelerator; `small`, for a CPU in a few minutes;
`smoke`, for tests; `paper`, with the layers and the optimizer of the paper, for
comparison.
"""

from ml_collections import ConfigDict

SIZES = ('base', 'paper', 'small', 'smoke')
NEEDS_ACCELERATOR = ('base', 'paper')


def get_config(size: str = 'base') -> ConfigDict:
  """Returns the config of a run of a `size` in SIZES."""
  pick = lambda **sizes: {'paper': sizes['base'], **sizes}[size]

  config = ConfigDict()
  config.seed = 0
  config.clip_shape = pick(  # t h w c
    base=(16, 64, 64, 3), small=(8, 16, 16, 3), smoke=(4, 16, 16, 3)
  )
  config.batch_size = pick(base=100, small=32, smoke=8)  # Over all devices.
  config.num_steps = pick(base=20_000, small=2_500, smoke=4)

  config.data = dict(name='synthetic.two_futures.source.TwoFutures')

  config.model = dict(
    name='families.prediction.stochastic.Stochastic',
    predictor=dict(
      name='models.svg.SVG',
      prior='learned',
      latent_width=pick(base=10, small=4, smoke=2),
      width=pick(base=64, small=16, smoke=2),
      code_width=pick(base=128, small=32, smoke=4),
      hidden_width=pick(base=256, small=64, smoke=4),
      norm=pick(base='group', small='none', smoke='none'),
      kernel_init=pick(
        base='lecun', small='lecun', smoke='lecun', paper='normal_0.02'
      ),
    ),
    num_context=pick(base=6, small=3, smoke=1),  # Frames before the fork.
    beta=pick(base=1e-4, small=2e-5, smoke=1e-4),
  )

  config.optim = dict(
    name='adam',
    schedule=dict(name='constant', peak=2e-3),
  )
  config.ema = dict(fast=dict(decay=0.99, warmup=True))

  # Periods, in steps.
  config.num_samples = pick(base=16, small=16, smoke=2)
  config.log_every = pick(base=100, small=50, smoke=1)
  config.sample_every = pick(base=2_000, small=1_250, smoke=4)
  config.checkpoint_every = pick(base=2_000, small=500, smoke=2)
  return config
