"""tools/layers finds what it is there to find."""
import os

import pytest

from lib import paths
from lib.process import run

LAYERS = os.path.join(paths.ROOT, 'tools', 'layers')

CASES = [
    ('an include of a higher layer', 'base/a.c', '#include "rpc/rpc.h"', True),
    ('one of a sibling', 'storage/a.c', '#include "wire/pb.h"', True),
    ('a generated header above its layer', 'storage/a.h',
     '#include "entity.pb.h"', True),
    ('a way round by a relative path', 'base/a.c',
     '#include "../net/http.h"', True),
    ('an indented one', 'net/a.c', '  #  include "service/env.h"', True),
    ('downward', 'rpc/a.c', '#include "base/buf.h"', False),
    ('own folder', 'engine/sub/a.c', '#include "engine/key.h"', False),
    ('a library', 'base/a.c', '#include "upb/message.h"', False),
]


def tree(folder, name, text):
    for layer in ('base', 'storage', 'net', 'wire', 'engine', 'service',
                  'rpc'):
        (folder / 'src' / layer).mkdir(parents=True)
        (folder / 'src' / layer / 'README.md').write_text('x\n')
    (folder / 'src' / 'net' / 'http.h').write_text('')
    path = folder / 'src' / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f'/* head */\n{text}\n')


@pytest.mark.parametrize('label, name, text, wrong', CASES,
                         ids=[c[0] for c in CASES])
def test_layers(tmp_path, label, name, text, wrong):
    tree(tmp_path, name, text)
    done = run([LAYERS, tmp_path], check=False)
    assert done.returncode == (1 if wrong else 0), done.stderr
    assert (f'{name}:2:' in done.stderr) == wrong


def test_a_folder_without_a_readme_is_named(tmp_path):
    tree(tmp_path, 'base/a.c', '')
    (tmp_path / 'src' / 'net' / 'README.md').unlink()
    done = run([LAYERS, tmp_path], check=False)
    assert done.returncode == 1
    assert 'src/net: has no README.md' in done.stderr
