"""Google's Go SDK, unmodified: `go test` of tests/sdk/go on the emulator."""
import json
import os
import subprocess

from lib import paths, sdk

GO = os.path.join(paths.ROOT, 'tests', 'sdk', 'go')


def lines(events, test):
    return ''.join(e['Output'] for e in events
                   if e['Action'] == 'output' and e.get('Test') == test)


def test_the_go_sdk(emulator, capsys):
    env = {**os.environ, 'GOFLAGS': '-mod=readonly', **sdk.environment(
        emulator.host, emulator.port, sdk.PROJECT)}
    done = subprocess.run(
        ['go', 'test', '-count=1', '-json', './...'], cwd=GO, env=env,
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=300 * paths.SLOWNESS)
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
    assert len(ended['pass']) + len(ended['skip']) >= 25
