"""vid2vid: layouts of moving objects are translated to video.

The first frame is given. The reference flow is that of the dataset; for videos
without flow set model.flow_source to 'matching'. experiments/zoo/translation.md
has the results of `small`.

  vgen train --config=vid2vid_layouts --workdir=runs/vid2vid

Sizes: `base`, for one accelerator; `small`, for a CPU; `smoke`, for tests;
`paper`, with the layers, weights and optimizer of the paper on larger frames.
"""

from ml_collections import ConfigDict

SIZES = ('base', 'paper', 'small', 'smoke')
NEEDS_ACCELERATOR = ('base', 'paper')


def get_config(size: str = 'base') -> ConfigDict:
  """Returns the config of a run of a `size` in SIZES."""
  pick = lambda **sizes: {'paper': sizes['base'], **sizes}[size]
  critic = dict(
    name='models.vid2vid_critic.Critic',
    num_scales=pick(base=2, small=2, smoke=1),
    width=pick(base=64, small=16, smoke=2),
    norm='none' if size == 'paper' else 'spectral',
    num_layers=3 if size == 'paper' else 0,
  )

  config = ConfigDict()
  config.seed = 0
  config.clip_shape = pick(  # t h w c
    base=(16, 64, 64, 3),
    small=(8, 32, 32, 3),
    smoke=(4, 16, 16, 3),
    paper=(30, 256, 256, 3),
  )
  config.batch_size = pick(base=16, small=4, smoke=8)  # Over all devices.
  config.num_steps = pick(base=50_000, small=2_000, smoke=4)

  config.data = dict(
    name='synthetic.layouts.source.Layouts', subpixel=True, flow=True
  )

  rates = pick(base=(1, 2), small=(1, 2), smoke=(1,), paper=(1, 3, 9))
  config.model = dict(
    name='families.translation.video_to_video.VideoToVideo',
    generator=dict(
      name='models.vid2vid.Generator',
      width=pick(base=32, small=12, smoke=2, paper=128),
      num_halvings=pick(base=2, small=2, smoke=1, paper=3),
      num_blocks=pick(base=4, small=1, smoke=0, paper=9),
      kernel_size=pick(base=7, small=3, smoke=3),
      flow_scale=pick(base=20.0, small=5.0, smoke=5.0),  # Pixels.
      foreground=pick(base=True, small=True, smoke=False),
      num_enhancers=pick(base=0, small=0, smoke=0, paper=1),
    ),
    critic=dict(image=critic, video=critic | dict(inputs='video', rates=rates)),
    loss_kind='least_squares' if size == 'paper' else 'hinge',
    mask_weight=pick(base=10.0, small=10.0, smoke=10.0, paper=0.0),
    # Replaces the perceptual distance of the paper, which needs weights of VGG.
    error_weight=10.0,
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
  config.log_every = pick(base=100, small=25, smoke=1)
  config.sample_every = pick(base=5_000, small=400, smoke=4)
  config.checkpoint_every = pick(base=5_000, small=200, smoke=2)
  return config
