"""Tests that a value of the command line is read as its field requires."""

import pytest

from vgen_jax.config import kinds
from vgen_jax.config import loading as config_lib

BASE = {
  'clip_shape': (4, 8, 8, 3),
  'batch_size': 8,
  'num_steps': 4,
  'data': {'name': 'data.files.video_folder.VideoFolder', 'folder': 'a'},
  'model': {
    'name': 'families.diffusion.denoising.Diffusion',
    'denoiser': {'name': 'models.dit.VideoDiT', 'width': 8},
  },
  'optim': {'name': 'adam', 'schedule': {'name': 'constant', 'peak': 1e-3}},
}


def value_of(text: str, **fields):
  """Returns the value of the field that an override sets."""
  overrides = config_lib.parse_overrides([text])
  node = config_lib.replace({**BASE, **fields}, overrides).to_dict()
  for word in text.partition('=')[0].split('.'):
    node = node[word]
  return node


@pytest.mark.parametrize(
  'typed', ['2024_11_15', '1e3', '0x10', '007', 'True', 'None', '[1]', '1.50']
)
@pytest.mark.parametrize(
  'field',
  ['data.folder', 'data.split', 'frozen.part', 'wandb', 'sample_from', 'best'],
)
def test_a_field_of_text_takes_the_text_as_it_is(field, typed):
  assert value_of(f'{field}={typed}') == typed


def test_a_field_that_the_config_leaves_out_has_its_kind_too():
  assert value_of('data.annotations=2024_11') == '2024_11'
  assert value_of('data.annotations=None') is None
  assert value_of('data.annotations="None"') == 'None'


@pytest.mark.parametrize(
  ('text', 'value'),
  [
    ('num_steps=1_000', 1000),
    (f'num_steps={10**400}', 10**400),  # Not a float.
    ('num_steps=1e3', 1000),
    ('optim.schedule.peak=1', 1.0),
    ('optim.clip_norm=0.5', 0.5),
    ('model.guidance=2', 2),
    ('data.stride=(1, 2)', (1, 2)),
    ('data.flips=true', True),
    ('tensorboard=False', False),
    ('evaluation.metrics=("fvd", "12")', ('fvd', '12')),
    ('evaluation.real_split=12', '12'),
    ('ema.slow={"decay": 0.5}', {'decay': 0.5}),
    ('model.denoiser.dtype=16', '16'),
    ('data.folder="a b"', 'a b'),
  ],
)
def test_other_fields_take_literals(text, value):
  found = value_of(text)
  assert found == value
  assert type(found) is type(value)


def test_a_field_of_text_or_several_takes_both():
  data = {'name': 'synthetic.world.source.World', 'label': 'size'}
  assert value_of('data.label=color', data=data) == 'color'
  both = value_of('data.label=("color", "size")', data=data)
  assert both == ('color', 'size')
  assert value_of('data.label=None', data=data) is None


def test_an_argument_of_an_unknown_class_follows_its_old_value():
  model = {'name': 'x.Y', 'path': 'a', 'width': 3}
  assert value_of('model.path=2024_1', model=model) == '2024_1'
  assert value_of('model.width=2_0', model=model) == 20
  assert kinds.of_field(model, ['model'], 'path') == set()
