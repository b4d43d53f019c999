"""`appscale storage`: the contract suite, and what is made of its words."""
import json
import os
import re
import shutil
import time

import pytest

from lib import paths
from lib.process import Process, run

CASE = '[ RUN      ] '
GOOD = '[       OK ] '
BAD = '[  FAILED  ] '


@pytest.fixture
def tmp(tmp_path):
    """Where the command makes its folder."""
    folder = tmp_path / 'tmp'
    folder.mkdir()
    return folder


@pytest.fixture
def storage(tmp):
    def call(*args, program=paths.APPSCALE):
        return run([program, 'storage', *args], check=False,
                   env={'NO_COLOR': '1', 'TMPDIR': str(tmp)})
    return call


@pytest.fixture
def installed(tmp_path):
    """A copy of the command where its suite can be another."""
    (tmp_path / 'bin').mkdir()
    (tmp_path / 'libexec' / 'appscale').mkdir(parents=True)
    shutil.copy(paths.APPSCALE, tmp_path / 'bin' / 'appscale')
    return tmp_path / 'bin' / 'appscale'


@pytest.fixture
def suite(installed):
    """Puts a script in the place of the suite."""
    def put(*lines):
        script = installed.parent.parent / 'libexec/appscale/test_storage'
        script.write_bytes(b'#!/bin/sh\n' + b''.join(
            line if isinstance(line, bytes) else f"echo '{line}'\n".encode()
            for line in lines))
        script.chmod(0o755)
    return put


def wait_empty(folder):
    until = time.monotonic() + 20 * paths.SLOWNESS
    while os.listdir(folder):
        assert time.monotonic() < until, os.listdir(folder)
        time.sleep(0.02)


def test_list_names_the_backends(storage):
    done = storage('list')
    assert done.returncode == 0, done.stderr
    names = [line.split()[0] for line in done.stdout.splitlines()]
    assert {'rocksdb', 'memory', 'dhash', 'trace'} <= set(names)
    rows = json.loads(storage('list', '--json').stdout)
    assert [row['name'] for row in rows] == names
    assert all(row['help'] for row in rows)


def test_a_backend_that_keeps_the_contract(storage, tmp):
    done = storage('test', 'dhash', '--group', 'basic')
    assert done.returncode == 0, done.stderr
    kept = re.search(r'dhash keeps the contract: (\d+) of \1 cases',
                     done.stdout)
    assert kept
    assert 'Left out: crash' in done.stdout
    assert f'dhash: basic (1 of {kept.group(1)}' in done.stderr
    wait_empty(tmp)


def test_the_verdict_as_json(storage):
    done = storage('test', 'rocksdb', '--group', 'limits', '--json')
    verdict = json.loads(done.stdout)
    assert done.returncode == 0 and done.stderr == ''
    assert verdict['ok'] is True
    assert verdict['cases'] == verdict['passed'] > 5
    assert verdict['failed'] == 0 and verdict['failures'] == []
    assert verdict['leftOut'] is None


def test_a_seed_reaches_the_suite(storage, installed, suite):
    suite(b'echo "== cases 1"\necho "[ RUN      ] a"\n'
          b'echo "$1 $2 $CONTRACT_SEED $CONTRACT_SCALE"\n'
          b'echo "[  FAILED  ] a"\n')
    done = storage('test', 'some', '--group', 'random', '--seed', '77',
                   '--scale', '3', program=installed)
    assert 'some random 77 3' in done.stdout


def test_a_backend_that_fails_a_case(storage, installed, suite, tmp):
    suite('== cases 3', '== group basic', CASE + 'one_thing', GOOD + 'one_thing',
          CASE + 'another_thing', b"printf 'got \\377\\001 bytes\\n' >&2\n",
          BAD + 'another_thing', '== group limits', CASE + 'a_third',
          GOOD + 'a_third', '[  FAILED  ] 1 test(s), listed below:',
          BAD + 'another_thing', b'exit 1\n')
    done = storage('test', 'mine', program=installed)
    assert done.returncode == 1
    assert ('basic: another thing\n    got ?? bytes\n'
            'mine does not keep the contract: 2 of 3 cases') in done.stdout
    assert 'storage test: 1 of 3 cases failed' in done.stderr
    assert 'Next: --group' in done.stderr
    done = storage('test', 'mine', '--json', program=installed)
    assert done.returncode == 1
    verdict = json.loads(done.stdout)
    assert verdict['ok'] is False and verdict['failed'] == 1
    assert verdict['failures'] == [{
        'group': 'basic', 'case': 'another thing', 'story': 'got ?? bytes\n'}]
    wait_empty(tmp)


def test_a_suite_that_dies_in_a_case(storage, installed, suite):
    suite('== cases 2', '== group threads', CASE + 'in_the_middle',
          b'kill -9 $$\n')
    done = storage('test', 'mine', program=installed)
    assert done.returncode == 1
    assert 'threads: in the middle' in done.stdout
    assert 'the suite was killed by signal 9' in done.stdout


def test_a_suite_that_ends_between_two_cases_proves_nothing(
        storage, installed, suite):
    suite('== cases 2', '== group basic', CASE + 'a', GOOD + 'a')
    done = storage('test', 'mine', program=installed)
    assert done.returncode == 1 and done.stdout == ''
    assert 'after 1 of 2 cases the suite ended' in done.stderr


def test_an_unknown_backend_is_answered_with_the_list(storage, tmp):
    done = storage('test', 'nonsense')
    assert done.returncode == 1
    assert "no backend named 'nonsense'; there are rocksdb" in done.stderr
    wait_empty(tmp)


@pytest.mark.parametrize('args', [
    ['test'], ['test', 'memory', '--group', 'nonsense'],
    ['test', 'memory', '--scale', '0'], ['test', '--', '--list'],
    ['test', 'memory', '--group', 'crash'], ['list', 'x'],
])
def test_what_is_not_understood_ends_with_status_2(storage, tmp, args):
    done = storage(*args)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ''
    assert 'Next: appscale' in done.stderr
    wait_empty(tmp)


def test_without_the_suite_it_says_how_to_get_it(storage, installed):
    for args in (['list'], ['test', 'memory']):
        done = storage(*args, program=installed)
        assert done.returncode == 1 and done.stdout == ''
        assert 'the contract suite is not there' in done.stderr
        assert 'ninja -C build install' in done.stderr
    folder = installed.parent.parent
    (folder / 'build.ninja').touch()
    done = storage('list', program=installed)
    assert (f'Next: ninja -C {folder} tests/contract/test_storage\n'
            in done.stderr)


def test_a_killed_command_leaves_no_suite_and_no_folder(tmp):
    p = Process([paths.APPSCALE, 'storage', 'test', 'rocksdb', '--group',
                 'threads'], env={'TMPDIR': str(tmp)}, name='storage test')
    try:
        p.wait_line('1 of 7')
        assert os.listdir(tmp)
        p.kill9()
        wait_empty(tmp)
    finally:
        p.stop()
