"""Tests that labels, shapes and sampling of a run need only its workdir."""

import json
import logging
import pathlib
import shutil

import pytest

from vgen_jax.cli import main as cli
from vgen_jax.config import build
from vgen_jax.config import loading as config_lib
from vgen_jax.data import run_schema
from vgen_jax.inference import runs
from vgen_jax.runtime import checkpoints
from vgen_jax.training import compilation
from vgen_jax.training import loop

ROOT = pathlib.Path(__file__).parents[2]


def counting_step(setup):
  """A train step that only counts, which needs no compilation."""
  step = lambda state, batch: (state.replace(step=state.step + 1), {})
  return step, compilation.Cost({}, 0.0, {})


@pytest.fixture(scope='module')
def trained(clips, tmp_path_factory, draws_first_states) -> pathlib.Path:
  """A folder with a run, `run`, of a step, and its videos, `videos`."""
  folder = tmp_path_factory.mktemp('schema')
  shutil.copytree(clips, folder / 'videos')
  config = config_lib.replace(
    config_lib.load(f'{ROOT}/configs/dit_video_folder.py:smoke'),
    {
      'mesh.data': 1,
      'tensorboard': False,
      'data.folder': str(folder / 'videos'),
      'model.denoiser.width': 8,
      'model.denoiser.depth': 1,
      'model.denoiser.num_heads': 1,
      'model.denoiser.attention': 'full',
      'model.solver.num_steps': 1,
      'optim': {'name': 'sgd', 'schedule': {'name': 'constant', 'peak': 0.01}},
    },
  )
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(compilation, 'compile_step', counting_step)
    loop.train(config, str(folder / 'run'), stop_at=1)
  return folder


@pytest.fixture
def place(trained, tmp_path) -> pathlib.Path:
  """A copy of the run and of its videos, in which tests may rename files."""
  shutil.copytree(trained / 'run', tmp_path / 'run')
  shutil.copytree(trained / 'videos', tmp_path / 'videos')
  file = tmp_path / 'run/config.json'
  config = config_lib.load(str(file))
  config.data.folder = str(tmp_path / 'videos')
  file.write_text(config_lib.to_json(config))
  return tmp_path


def load(place, **overrides) -> runs.Run:
  return runs.load(str(place / 'run'), overrides=overrides)


@pytest.fixture
def unopened(monkeypatch):
  """Raises an error if data is opened."""

  def refused(*args, **kwargs):
    raise AssertionError('Data was opened.')

  monkeypatch.setattr(build, 'source', refused)


def test_the_workdir_has_the_schema_of_the_data(trained):
  schema = run_schema.read(str(trained / 'run')).schema
  assert schema.class_names == ('left', 'right')
  assert schema == load(trained).source.schema


def test_conditions_need_no_data(trained, unopened):
  run = load(trained)
  assert run.schema.class_names == ('left', 'right')
  assert list(run.condition(3)['label']) == [0, 1, 0]
  assert list(run.condition(2, 'right')['label']) == [1, 1]
  with pytest.raises(ValueError, match=r"no class 'rigth'\. Did you mean 'r"):
    run.condition(1, 'rigth')


def test_the_command_samples_after_the_folder_is_gone(place, capsys):
  shutil.rmtree(place / 'videos')
  flags = [f'--workdir={place}/run', '--num=1', '--label=left']
  assert cli.main(['sample', *flags]) == 0
  printed = json.loads(capsys.readouterr().out.splitlines()[-1])['sample']
  assert pathlib.Path(printed['mp4']).stat().st_size > 100
  assert cli.main(['sample', *flags, '--real']) == 1
  assert 'there is no such folder' in capsys.readouterr().err


@pytest.mark.parametrize('change', ['renamed', 'new', 'removed', 'swapped'])
def test_labels_keep_their_meaning(place, change):
  """Names have the same ids; resuming and reading data are refused."""
  videos = place / 'videos'
  if change == 'renamed':
    (videos / 'left').rename(videos / 'up')
  elif change == 'new':
    shutil.copytree(videos / 'right', videos / 'down')
  elif change == 'removed':
    for file in (videos / 'left').iterdir():
      file.unlink()
  else:
    (videos / 'left').rename(videos / 'zleft')
  run = load(place)
  for label, name in enumerate(('left', 'right')):
    assert list(run.condition(1, name)['label']) == [label]
  message = r"run was trained with class_names \('left', 'right'\), but .*has"
  with pytest.raises(ValueError, match=message):
    _ = run.source
  with pytest.raises(ValueError, match=message):
    run.evaluate(('flicker',), 2)
  file = place / 'run/config.json'
  before = file.read_text()
  config = config_lib.replace(config_lib.load(str(file)), {'num_samples': 3})
  with pytest.raises(ValueError, match=message):
    loop.train(config, str(place / 'run'), stop_at=2)
  assert file.read_text() == before


def test_other_data_may_be_named_but_must_fit(trained, place, capsys):
  shutil.move(place / 'videos', place / 'elsewhere')
  moved = load(place, **{'data.folder': str(place / 'elsewhere')})
  assert moved.source.schema == moved.schema
  (place / 'few').mkdir()
  shutil.copytree(place / 'elsewhere/left', place / 'few/cow')
  few = load(place, **{'data.folder': str(place / 'few')})
  assert list(few.condition(1, 'right')['label']) == [1]
  with pytest.raises(ValueError, match=r'few,.* has \(\)'):
    _ = few.source


def test_a_run_without_a_schema_needs_its_data(place, caplog):
  """The log states what cannot be checked for a run of an older version."""
  (place / 'run' / run_schema.FILE).unlink()
  with caplog.at_level(logging.WARNING):
    run = load(place)
  assert 'has no schema.json, because an older version' in caplog.text
  assert run.schema.class_names == ('left', 'right')
  shutil.move(place / 'videos', place / 'gone')
  with pytest.raises(ValueError, match=r'no schema.json, so its data is neede'):
    load(place)
  shutil.move(place / 'gone', place / 'videos')
  caplog.clear()
  config = config_lib.load(f'{place}/run/config.json')
  loop.train(config, str(place / 'run'), stop_at=1)
  assert 'has checkpoints, but no schema.json' in caplog.text
  assert run_schema.read(str(place / 'run')).schema == run.schema


def test_a_run_without_a_checkpoint_may_begin_with_other_data(
  place, monkeypatch
):
  config = config_lib.load(f'{place}/run/config.json')
  (place / 'videos/left').rename(place / 'videos/up')
  for step in checkpoints.steps(str(place / 'run')):
    shutil.rmtree(place / f'run/checkpoints/{step}')

  def stopped(setup):
    raise KeyboardInterrupt

  monkeypatch.setattr(compilation, 'compile_step', stopped)
  with pytest.raises(KeyboardInterrupt):
    loop.train(config, str(place / 'run'))
  schema = run_schema.read(str(place / 'run')).schema
  assert schema.class_names == ('right', 'up')


def test_a_damaged_schema_is_an_error(place):
  file = place / 'run' / run_schema.FILE
  file.write_text(file.read_text().replace('left', 'felt'))
  with pytest.raises(ValueError, match=r'schema\.json is not the schema of a'):
    load(place)
  config = config_lib.load(f'{place}/run/config.json')
  with pytest.raises(ValueError, match=r'schema\.json is not the schema of a'):
    loop.train(config, str(place / 'run'), stop_at=2)


def test_another_shape_is_said_in_one_line(trained, unopened, caplog):
  with caplog.at_level(logging.WARNING):
    load(trained)
    assert caplog.text == ''
    assert load(trained, clip_shape=(8, 16, 32, 3)).model.clip_shape[0] == 8
  [record] = caplog.records
  assert 'Clips of 8 x 16 x 32 x 3 are' in record.getMessage()
  assert 'trained on clips of 4 x 16 x 16 x 3' in record.getMessage()
