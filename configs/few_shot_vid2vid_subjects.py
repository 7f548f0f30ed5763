"""Few-shot vid2vid on subjects: layouts and references are translated to video.

40 subjects, whose bodies have two sides, are for training, and 10 others each
for the splits `validation` and `test`. The first frame is generated, too. There
is no reference flow and, as in the released code, no critic of sequences.

  vgen train --config=few_shot_vid2vid_subjects --workdir=runs/few_shot

`--config.model.generator.num_adaptive=0` and the critic of vid2vid
(`--config.model.critic.image.name=models.vid2vid_critic.Critic`) train the same
network without references, which cannot infer the appearance of subjects.

Sizes: `base`, for one accelerator; `small`, for a CPU; `smoke`, for tests;
`paper`, with the sizes and the optimizer of the released code, for comparison.
"""

from ml_collections import ConfigDict

SIZES = ('base', 'paper', 'small', 'smoke')
NEEDS_ACCELERATOR = ('base', 'paper')


def get_config(size: str = 'base') -> ConfigDict:
  """Returns the config of a run of a `size` in SIZES."""
  pick = lambda **sizes: {'paper': sizes['base'], **sizes}[size]
  config = ConfigDict()
  config.seed = 0
  small, paper = (4, 32, 32, 3), (30, 256, 256, 3)  # t h w c
  config.clip_shape = pick(
    base=(16, 64, 64, 3), small=small, smoke=(4, 16, 16, 3), paper=paper
  )
  config.batch_size = pick(base=16, small=4, smoke=8)  # Over all devices.
  config.num_steps = pick(base=50_000, small=2_000, smoke=4)
  config.data = dict(
    name='synthetic.subjects.source.Subjects',
    num_references=pick(base=3, small=3, smoke=2),
    num_sides=2,
  )
  config.model = dict(
    name='families.translation.video_to_video.VideoToVideo',
    generator=dict(
      name='models.few_shot_vid2vid.FewShotVid2Vid',
      num_previous=pick(base=1, small=1, smoke=1, paper=2),
      width=pick(base=32, small=8, smoke=2),
      num_levels=pick(base=3, small=2, smoke=1, paper=5),
      num_adaptive=pick(base=3, small=2, smoke=1, paper=4),
      attention_level=pick(base=2, small=1, smoke=1),
      flow_levels=pick(base=3, small=2, smoke=1),
      flow_scale=pick(base=20.0, small=10.0, smoke=5.0),
      spade_width=pick(base=64, small=16, smoke=2, paper=128),
    ),
    critic=dict(
      image=dict(
        name='models.few_shot_critic.Critic',
        num_scales=pick(base=2, small=1, smoke=1),
        width=pick(base=64, small=16, smoke=2),
        norm='spectral',
      ),
    ),
    num_context=0,
    loss_kind='hinge',
    flow_source='none',
    mask_weight=10.0,
    error_weight=10.0,  # Replaces the perceptual distance of the paper.
    class_balance=size != 'paper',  # Figures are small.
  )

  rate = pick(base=1e-4, small=2e-3, smoke=1e-3)
  factor, b1 = pick(base=(4, 0.0), small=(1, 0.5), smoke=(2, 0.5))
  faster = dict(schedule=dict(peak=factor * rate))
  config.optim = dict(name='adam', b1=b1, b2=0.999)
  config.optim.schedule = dict(name='constant', peak=rate)
  config.optim.players = dict(critic_image=faster)
  config.ema = dict(slow=dict(decay=0.999, warmup=True))

  # Periods, in steps.
  config.log_every = pick(base=100, small=25, smoke=1)
  config.sample_every = pick(base=5_000, small=400, smoke=4)
  config.checkpoint_every = pick(base=5_000, small=250, smoke=2)
  return config
