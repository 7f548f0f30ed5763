"""Tests of `vgen data`: from videos to clips by the command line."""

import argparse
import json
import os
import pathlib
import signal

import numpy as np
from PIL import Image
import pytest

from vgen_jax.cli import data_prepare
from vgen_jax.cli import main as cli
from vgen_jax.core.processes import locks
from vgen_jax.data.prepare import tables
from vgen_jax.data.tfds import compat
from vgen_jax.data.tfds import dataset
from vgen_jax.data.tfds import prepared_files

FOLDER = ('prepare', 'video_folder', '--source=x', '--out=y')


def report(capsys, *argv) -> dict:
  """The JSON in the last line of the output of a command."""
  assert cli.main(['data', *map(str, argv)]) == 0, capsys.readouterr().err
  [value] = json.loads(capsys.readouterr().out.splitlines()[-1]).values()
  return value


def test_prepare_then_inspect(clips, tmp_path, capsys):
  flags = ('--size=16', '--format=jpeg', '--name=blends')
  prepared = report(
    capsys,
    'prepare',
    'video_folder',
    f'--source={clips}',
    f'--out={tmp_path}',
    *flags,
  )
  assert sum(prepared['examples'].values()) == 6
  assert prepared['skipped'] == 0
  sheet = tmp_path / 'sheet.png'
  found = report(
    capsys,
    'inspect',
    f'--data_dir={prepared["data_dir"]}',
    '--split=all',
    '--clip_shape=8,16,16,3',
    '--num=3',
    f'--out={sheet}',
  )
  assert found['clips'] == 6
  assert found['schema']['class_names'] == ['left', 'right']
  assert found['frames'] == {'min': 20, 'median': 20, 'max': 20}
  assert found['seconds']['median'] == pytest.approx(2)
  assert found['num_labels'] == 2
  assert found['broken'] == []
  assert found['clips_per_cpu_second'] > 1
  pixels = np.asarray(Image.open(sheet))
  # Enlarged to 64 pixels, with gaps and with a label above each clip.
  assert pixels.shape == (3 * (64 + 16 + 6) + 6, 8 * 66 - 2 + 12, 3)
  source = dataset.TFDSVideo(
    (8, 16, 16, 3), data_dir=prepared['data_dir'], split='all'
  )
  # The first frame is below a gap and a label, and each pixel is 4 x 4.
  np.testing.assert_array_equal(
    pixels[22 : 22 + 64 : 4, 6 : 6 + 64 : 4], source[0]['video'][0]
  )


def test_inspect_reads_the_data_of_a_config(tmp_path, capsys):
  root = pathlib.Path(__file__).parents[2]
  found = report(
    capsys,
    'inspect',
    f'--config={root}/configs/mocogan_world.py:smoke',
    '--scan=4',
    f'--out={tmp_path}/sheet.png',
  )
  assert found['schema']['num_classes'] == 8


def test_prepare_writes_synthetic_datasets(tmp_path, capsys):
  prepared = report(
    capsys,
    'prepare',
    'shapes_world',
    '--num_clips=3',
    f'--out={tmp_path}',
    '--clip_shape=4,16,16,3',
    '--format=raw',
  )
  assert prepared['examples'] == {'train': 3, 'validation': 1, 'test': 1}


def test_bench_prints_speeds(capsys):
  [row] = report(
    capsys,
    'bench',
    '--formats=raw',
    '--shapes=4x16x16',
    '--rounds=1',
    '--seconds=0.05',
    '--num_clips=4',
  )
  assert row['bytes'] > 4 * 16 * 16 * 3
  assert row['pipeline'] > 0
  assert 0 < row['ratio'] < 2


@pytest.mark.parametrize(
  ('argv', 'message'),
  [
    (['prepar'], "is 'prepar'; it must be one of"),
    (['prepare', 'ucf11', '--out=x'], "'tfrecord'. Did you mean 'ucf101'?"),
    (['prepare', 'ucf101', '--out=x'], 'ucf101 needs --source=...'),
    (['prepare', 'ucf101', '--sorce=x', '--out=x'], "mean '--source'?"),
    (['bench', '--formats=gif'], "--formats is 'gif'; it must be one of"),
    (['bench', '--shapes=16'], "--shapes has '16'"),
    (['inspect'], 'give --data_dir, --dataset or --config'),
    (['inspect', '--data_dir=x', '--clip_shape=4'], "--clip_shape is '4'"),
    (['inspect', '--data_dir=x', '--out=sheet'], "--out is 'sheet'; its name"),
    (['inspect', '--data_dir=x', '--out=/proc/y/s.png'], '/proc/y'),
    (
      ['inspect', '--config=demo', '--clip_shape=4,8,8,3'],
      'which has no effect with --config; use --config.clip_shape',
    ),
    (
      ['inspect', '--config=demo', '--data_dir=x'],
      '--data_dir has no effect with --config',
    ),
    (
      ['inspect', '--config=demo', '--dataset=x'],
      '--dataset has no effect with --config',
    ),
    (
      ['inspect', '--data_dir=x', '--config.seed=1'],
      '--config.seed=1 has no effect without --config',
    ),
    (['bench', '--rounds=0'], '--rounds is 0; it must be at least 1'),
    (['bench', '--num_clips=0'], '--num_clips is 0; it must be at least 1'),
    (['bench', '--num_threads=0'], '--num_threads is 0; it must be at least'),
    (['bench', '--seconds=nan'], '--seconds is nan; it must be positive'),
    (['bench', '--shapes=4x0x16'], 'the smallest size in --shapes is 0'),
    ([*FOLDER, '--fps=nan'], '--fps is nan; it must be positive and finite'),
    ([*FOLDER, '--size=0'], '--size is 0; it must be positive and finite'),
    ([*FOLDER, '--quality=52'], '--quality is 52; it must be from 0 to 51'),
    (
      [*FOLDER, '--quality=0', '--format=jpeg'],
      '--quality is 0; it must be from 1 to 100',
    ),
    (
      [*FOLDER, '--quality=9', '--format=raw'],
      "--quality is 9, but the format 'raw' has no quality",
    ),
    ([*FOLDER, '--num_threads=0'], '--num_threads is 0; it must be at least'),
    ([*FOLDER, '--name=a/b'], "--name is 'a/b'; it must have only letters"),
    ([*FOLDER, '--name='], "--name is ''; it must have only letters"),
  ],
)
def test_an_error_is_one_line(argv, message, capsys):
  assert cli.main(['data', *argv]) == 1
  [line] = capsys.readouterr().err.splitlines()
  assert line.startswith('vgen data: ')
  assert message in line


def test_flags_of_other_datasets_are_refused(capsys):
  """No flag of `vgen data prepare` is dropped without an error."""
  parser = argparse.ArgumentParser()
  data_prepare.add_arguments(parser)
  actions = {a.dest: a for a in parser._actions if a.dest != 'help'}
  assert set(data_prepare._ONLY) == set(actions) - {'dataset', 'out'}
  for name, datasets in data_prepare._ONLY.items():
    is_switch = actions[name].nargs == 0
    flag = f'--{name}' if is_switch else f'--{name}=7'
    if name == 'format':
      flag = '--format=raw'
    for dataset_name in set(data_prepare.DATASETS) - set(datasets):
      is_synthetic = dataset_name in data_prepare._SYNTHETIC
      source = () if is_synthetic else ('--source=x',)
      argv = ['data', 'prepare', dataset_name, '--out=x', *source, flag]
      assert cli.main(argv) == 1
      [line] = capsys.readouterr().err.splitlines()
      assert f'--{name} has no effect on {dataset_name}; remove it.' in line


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_preparing_that_is_stopped_leaves_nothing_and_can_be_repeated(
  clips, tmp_path, capsys, monkeypatch, number
):
  argv = ['data', 'prepare', 'video_folder', f'--source={clips}']
  argv += [f'--out={tmp_path}', '--size=16', '--num_threads=1']
  stopped, examples = [], tables.examples

  def stop(row, *args):
    stopped.append(row)
    if len(stopped) == 4:
      os.kill(os.getpid(), number)
    return examples(row, *args)

  with monkeypatch.context() as patch:
    patch.setattr(tables, 'examples', stop)
    assert cli.main(argv) == 128 + number
  folder = tmp_path / 'video_folder'
  assert os.listdir(folder) == []
  assert 'stopped by' in capsys.readouterr().err
  # A process that is killed within this context leaves its folder.
  write = compat.load().core.utils.incomplete_dir(str(folder / '1.0.0'))
  write.__enter__()
  assert len(os.listdir(folder)) == 1
  assert report(capsys, *argv[1:])['skipped'] == 0
  assert os.listdir(folder) == ['1.0.0']


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize('moment', ['_digest', 'rename', 'from_directory'])
def test_a_late_signal_leaves_nothing_or_a_complete_dataset(
  clips, tmp_path, capsys, monkeypatch, number, moment
):
  """In both cases the same command succeeds, and another one is refused."""
  argv = ['data', 'prepare', 'video_folder', f'--source={clips}']
  argv += [f'--out={tmp_path}', '--size=16', '--num_threads=1', '--format=raw']
  owner = {'_digest': prepared_files, 'from_directory': compat}.get(
    moment, pathlib.PosixPath
  )
  real = getattr(owner, moment)

  def stop(path, *args):
    if moment == 'rename' and 'staging' not in str(path):
      return real(path, *args)
    result = real(path, *args)
    os.kill(os.getpid(), number)
    return result

  with monkeypatch.context() as patch:
    patch.setattr(owner, moment, stop)
    assert cli.main(argv) == 128 + number
  assert 'stopped by' in capsys.readouterr().err
  complete = ['1.0.0'] if moment != '_digest' else []
  assert os.listdir(tmp_path / 'video_folder') == complete
  prepared = report(capsys, *argv[1:])
  assert sum(prepared['examples'].values()) == 6
  assert os.listdir(tmp_path / 'video_folder') == ['1.0.0']
  assert report(capsys, *argv[1:])['data_dir'] == prepared['data_dir']
  assert cli.main([*argv, '--fps=5']) == 1
  assert "written with other ['options']" in capsys.readouterr().err


def test_two_processes_do_not_prepare_the_same_dataset(clips, tmp_path, capsys):
  folder = tmp_path / 'video_folder'
  argv = ['prepare', 'video_folder', f'--source={clips}', f'--out={tmp_path}']
  with locks.held(folder, '.1.0.0.lock'):
    assert cli.main(['data', *argv]) == 1
    assert os.listdir(folder) == ['.1.0.0.lock']
  assert f'in use by process {os.getpid()}' in capsys.readouterr().err
