"""Google's Java SDK: each JUnit test of tests/sdk/java, in Google's runtime.

The tests are a servlet's own code (java/src/sdk/Cases.java), so the SDK sees
what it sees in production: a request with its headers, the environment of the
thread, the runtime's way to the server.  Every Java test is one test here.
The emulator sends its push tasks to the runtime, so they are real, too.
"""
import os
import re

import pytest

from lib import java, paths
from lib.emulator import Emulator, REFERENCE
from lib.ports import free_port

SOURCE = os.path.join(paths.ROOT, 'tests', 'sdk', 'java')
APP = os.path.join(paths.ROOT, 'tests', 'sdk', 'app')
TESTS = os.path.join(SOURCE, 'src', 'sdk')

# What the edge says of the visitor, for the tests that ask about him.
SIGNED_IN = {
    'X-Appengine-User-Email': 'jo@example.com',
    'X-Appengine-User-Id': '42',
    'X-Appengine-User-Is-Admin': '1',
    'X-Appengine-Auth-Domain': 'gmail.com',
}
HEADERS = {'SignedInTest': SIGNED_IN}


def cases():
    """[(class, method)] of every @Test, from the sources."""
    found = []
    for name in sorted(os.listdir(TESTS)):
        with open(os.path.join(TESTS, name), encoding='utf-8') as source:
            found += [(name.removesuffix('.java'), method)
                      for method in re.findall(
                          r'@Test\s+public void (\w+)\(', source.read())]
    return found


CASES = cases()


@pytest.fixture(scope='module')
def runtime(tmp_path_factory):
    war = tmp_path_factory.mktemp('java') / 'war'
    java.build_war(SOURCE, war)
    reference = {'APPSCALE_REFERENCE': '1'} if REFERENCE else {}
    port = free_port()
    with Emulator(appdir=APP,
                  options=['--app-url', f'http://127.0.0.1:{port}']) as emu:
        instance = java.JavaRuntime(
            war, emu.host, emu.port, env=reference, listen=port,
            logging=os.path.join(SOURCE, 'logging.properties'))
        try:
            yield instance
        finally:
            instance.stop()
        assert emu.stop() == 0, emu.output()


def test_every_java_test_is_among_the_cases(runtime):
    for name in {name for name, _ in CASES}:
        status, text = runtime.get(f'/{name}')
        assert status == 200, text
        assert sorted(text.split()) == sorted(
            method for owner, method in CASES if owner == name)


@pytest.mark.parametrize('name, method', CASES,
                         ids=['.'.join(case) for case in CASES])
def test_java(runtime, name, method):
    status, text = runtime.get(f'/{name}/{method}', HEADERS.get(name, {}))
    if text.startswith('skipped: '):
        pytest.skip(text.removeprefix('skipped: '))
    assert (status, text) == (200, 'passed\n'), text
