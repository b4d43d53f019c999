"""Composite indexes of a real platform: deployed, listed, cleared away."""
import json

import pytest

from lib import paths
from lib.process import run

ONE = '- kind: Note\n  properties:\n  - name: n\n  - name: tag\n'
TWO = '- kind: Note\n  ancestor: yes\n  properties:\n  - name: "y"\n'


def appscale(m, *args, **kwargs):
    return run([paths.APPSCALE, *args, '--root', str(m.root)], check=False,
               env={'NO_COLOR': '1'}, **kwargs)


def put(m, yaml):
    status, answer = m.api('PUT', '/v1/apps/demo/indexes',
                           {'indexYaml': 'indexes:\n' + yaml})
    assert status == 200, answer
    return [i['kind'] for i in answer['started']]


def states(m):
    done = appscale(m, 'datastore', 'indexes', 'demo', '--json')
    assert done.returncode == 0, done.stderr
    return {i['properties'][0]['name']: (i['state'], i['named'])
            for i in json.loads(done.stdout)['indexes']}


def test_indexes_come_serve_and_go(running, eventually):
    m = running
    assert put(m, ONE + TWO) == ['Note', 'Note']
    assert put(m, ONE + TWO) == []
    eventually(lambda: states(m) == {'n': ('READY', True),
                                     'y': ('READY', True)})
    assert put(m, TWO) == []
    assert states(m) == {'n': ('READY', False), 'y': ('READY', True)}
    done = appscale(m, 'datastore', 'vacuum', 'demo')
    assert done.returncode == 2 and 'Note (n, tag): 0 entries' in done.stderr
    assert 'n' in states(m)
    done = appscale(m, 'datastore', 'vacuum', 'demo', '--yes')
    assert done.returncode == 0, done.stderr
    m.kill('server')
    eventually(lambda: states(m) == {'y': ('READY', True)})


def test_a_wrong_index_yaml_is_refused_with_its_line(running):
    before = states(running)
    status, answer = running.api('PUT', '/v1/apps/demo/indexes',
                                 {'indexYaml': 'indexes:\n- knd: Note\n'})
    assert status == 400
    assert 'index.yaml:2: unknown element "knd"' in json.dumps(
        answer).replace('\\"', '"')
    assert states(running) == before


@pytest.fixture
def eventually():
    import time

    def call(true):
        end = time.monotonic() + 20 * paths.SLOWNESS
        while not true():
            assert time.monotonic() < end, 'it did not happen'
            time.sleep(0.05)
    return call
