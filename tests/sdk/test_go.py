"""Google's Go SDK, unmodified: `go test` of tests/sdk/go on an emulator, which
sends its push tasks to the test program."""
import json
import os
import re
import subprocess

from lib import paths, sdk
from lib.emulator import Emulator
from lib.ports import free_port

APP = os.path.join(paths.ROOT, 'tests', 'sdk', 'app')
GO = os.path.join(paths.ROOT, 'tests', 'sdk', 'go')


def lines(events, test):
    return ''.join(e['Output'] for e in events
                   if e['Action'] == 'output' and e.get('Test') == test)


def written_tests():
    found = []
    for name in os.listdir(GO):
        if name.endswith('_test.go'):
            with open(os.path.join(GO, name), encoding='utf-8') as source:
                found += re.findall(r'(?m)^func (Test\w+)\(t ', source.read())
    return sorted(found)


def go_test(port):
    with Emulator(appdir=APP,
                  options=['--app-url', f'http://127.0.0.1:{port}']) as emu:
        env = {**os.environ, 'GOFLAGS': '-mod=readonly', 'PORT': str(port),
               **sdk.environment(emu.host, emu.port, sdk.PROJECT)}
        done = subprocess.run(
            ['go', 'test', '-count=1', '-json', './...'], cwd=GO, env=env,
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=300 * paths.SLOWNESS)
        assert emu.stop() == 0, emu.output()
    return done


def test_the_go_sdk(capsys):
    done = go_test(free_port())
    events = [json.loads(line) for line in done.stdout.splitlines()
              if line.startswith('{')]
    ended = {a: sorted(e['Test'] for e in events
                       if e['Action'] == a and 'Test' in e)
             for a in ('pass', 'fail', 'skip')}
    with capsys.disabled():
        print('\ngo test:', ', '.join(f'{len(tests)} {a}'
                                      for a, tests in ended.items()))
    assert done.returncode == 0 and not ended['fail'], '\n'.join(
        lines(events, test) for test in ended['fail']) or (
        done.stdout + done.stderr)
    assert sorted(ended['pass'] + ended['skip']) == written_tests()
