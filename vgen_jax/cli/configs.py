"""Lists the configs that ship with vgen_jax, or copies one.

  vgen configs
  vgen configs copy dit_world
  vgen configs copy dit_world my_configs

The list shows for each config its sizes, the first of which is the default, and
what it needs: an accelerator, a folder of videos, or other runs that must be
trained first. Train with --config=NAME or --config=NAME:SIZE, in any directory.

`copy NAME [FOLDER]` writes NAME.py to a folder, by default the current one, to
be changed there and used as --config=FOLDER/NAME.py.
"""

import argparse
import json
import pathlib

from vgen_jax.core import file_paths

_COMMANDS = ('list', 'copy')


def add_arguments(parser: argparse.ArgumentParser) -> None:
  parser.add_argument(
    'command',
    nargs='?',
    default='list',
    help=f'One of: {", ".join(_COMMANDS)}.',
  )
  parser.add_argument(
    'name', nargs='?', default=None, help='Name of the config to copy.'
  )
  parser.add_argument(
    'folder',
    type=file_paths.argument,
    nargs='?',
    default='.',
    help='Folder to copy it to.',
  )
  parser.add_argument(
    '--json', action='store_true', help='Print the list as one JSON object.'
  )


def run(args: argparse.Namespace) -> int:
  from vgen_jax.config import shipped
  from vgen_jax.core import checks

  checks.one_of('COMMAND of vgen configs', args.command, _COMMANDS)
  if args.command == 'copy':
    return _copy(args.name, args.folder)
  if args.name is not None:
    raise ValueError(
      f'vgen configs list takes no name, but {args.name!r} is given; remove it.'
    )
  entries = [shipped.describe(name) for name in shipped.configs()]
  if args.json:
    print(json.dumps({'configs': {x.name: _row(x) for x in entries}}))
    return 0
  for entry in entries:
    row = _row(entry)
    print(f'{entry.name}: {entry.title}.')
    print(f'  sizes: {", ".join(row["sizes"])}')
    print(f'  needs: {"; ".join(row["needs"]) or "nothing"}')
  print('Train one with: vgen train --config=NAME:SIZE --workdir=runs/NAME')
  return 0


def _row(entry) -> dict[str, list[str]]:
  """Returns the sizes of a config, and what it needs, in words."""
  needs = []
  if entry.accelerator_sizes:
    sizes = ', '.join(entry.accelerator_sizes)
    needs.append(f'an accelerator (GPU or TPU) for {sizes}')
  if entry.needs_folder:
    needs.append('a folder of videos: --config.data.folder=FOLDER')
  for workdir in entry.frozen:
    name = pathlib.PurePath(workdir).name
    needs.append(
      f'a trained tokenizer: vgen train --config={name} --workdir={workdir}'
    )
  return {'sizes': list(entry.sizes), 'needs': needs}


def _copy(name: str | None, folder: str) -> int:
  from vgen_jax.config import shipped
  from vgen_jax.core import atomic_files

  if name is None:
    raise ValueError(
      'vgen configs copy has no NAME; give the name of a config that `vgen'
      ' configs` lists.'
    )
  file = shipped.find('configs', name)
  target = file_paths.local(folder) / file.name
  if target.exists():
    raise ValueError(
      f'{target} exists already; remove it, or copy to another directory.'
    )
  target.parent.mkdir(parents=True, exist_ok=True)
  atomic_files.write_bytes(target, file.read_bytes())
  print(f'Wrote {target}. Train with: vgen train --config={target}')
  return 0
