"""Configs with the data of tests, and tokenizers that need no training."""

import pathlib

from ml_collections import ConfigDict

from vgen_jax.config import loading as config_lib

_CONFIGS = pathlib.Path(__file__).parents[1] / 'configs'


def with_videos(config: ConfigDict, clips: pathlib.Path) -> ConfigDict:
  """Returns a config whose folder of videos, if it has one, is `clips`."""
  if 'folder' not in config.data:
    return config
  return config_lib.replace(config, {'data.folder': str(clips)})


def load(
  name: str, size: str, clips: pathlib.Path, folder: pathlib.Path
) -> ConfigDict:
  """Returns a config whose tokenizer has a config, but has not been trained.

  Args:
    name: Name of a config in configs/.
    size: One of its sizes.
    clips: Folder of videos.
    folder: Folder in which the runs of tokenizers are written.
  """
  config = with_videos(config_lib.load(f'{_CONFIGS}/{name}.py:{size}'), clips)
  overrides = {}
  for part, workdir in config.get('frozen', {}).items():
    name = pathlib.Path(workdir).name
    theirs = config_lib.load(f'{_CONFIGS}/{name}.py:{size}')
    tokenizer = folder / part
    tokenizer.mkdir(exist_ok=True)
    (tokenizer / 'config.json').write_text(config_lib.to_json(theirs))
    overrides[f'frozen.{part}'] = str(tokenizer)
  return config_lib.replace(config, overrides)
