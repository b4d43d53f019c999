"""Every language: its example is deployed as a person does it, and used."""
import http.client
import os
import re
import shutil
import time
from urllib.parse import urlencode

import pytest

from lib import paths
from lib.platform import Platform
from lib.process import run

# What the builds download stays beside what ./check downloads.
CACHE = os.path.join(paths.ROOT, '.deps', 'cache')


@pytest.fixture(scope='module')
def platform():
    p = Platform(CACHE)
    try:
        p.up()
        yield p
    finally:
        p.close()


def example(name):
    return os.path.join(paths.EXAMPLES, name)


@pytest.fixture
def copy(tmp_path):
    """Copies an example for a test that spoils it."""
    def make(name, **files):
        folder = tmp_path / name
        shutil.copytree(example(name), folder)
        for file, change in files.items():
            path = folder / file.replace('__', '/').replace('_dot_', '.')
            path.write_text(change(path.read_text()))
        return folder
    return make


class Page:
    """An answer that came through nginx."""

    def __init__(self, platform, project, path='/', form=None, method=None,
                 body=None, headers=None):
        headers = {'Host': f'{project}.localhost:{platform.port}',
                   **(headers or {})}
        if form is not None:
            body = urlencode(form)
            headers['Content-Type'] = 'application/x-www-form-urlencoded'
        connection = http.client.HTTPConnection(
            '127.0.0.1', platform.port, timeout=30 * paths.SLOWNESS)
        connection.request(method or ('GET' if body is None else 'POST'),
                           path, body, headers)
        answer = connection.getresponse()
        self.status, self.headers = answer.status, answer.headers
        self.text = answer.read().decode(errors='replace')
        connection.close()


def until(what, within=20):
    """Call until it is true: what a task does nobody announces."""
    end = time.monotonic() + within * paths.SLOWNESS
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


def refused(platform, folder, *args):
    """Deploy what does not build; what the person reads."""
    done = platform.cli('deploy', str(folder), *args, check=False,
                        timeout=600)
    assert done.returncode != 0, done.stdout
    return done.stdout + done.stderr


def use_notes(platform, project):
    """The board of notes: written, shown at once, counted by a task; looks
    are counted in memcache."""
    assert Page(platform, project, '/static/style.css').headers[
        'Content-Type'] == 'text/css'
    assert 'The board is empty' in Page(platform, project).text
    done = Page(platform, project, '/write', {'text': 'a <b>few</b> words'})
    assert (done.status, done.headers['Location']) in (
        (303, '/'), (302, '/'),
        (302, f'http://{project}.localhost:{platform.port}/'))
    page = Page(platform, project).text
    assert 'a &lt;b&gt;few&lt;/b&gt; words' in page
    until(lambda: '3 words' in Page(platform, project).text)
    looks = [int(re.search('Looked at ([0-9]+) times',
                           Page(platform, project).text)[1])
             for _ in range(2)]
    assert looks[1] == looks[0] + 1
    assert Page(platform, project, '/write', {'text': ''}).status == 400
    # Its tasks are not for visitors.
    assert Page(platform, project, '/tasks/count', {'key': 'x'}).status == 302


@pytest.fixture
def build(tmp_path):
    """Runs a runtime's build alone, as the platform does; its status, what it
    said, and its own folder."""
    def go(language, files, **env):
        folder = tmp_path / 'app'
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        done = run([os.path.join(paths.ROOT, 'runtimes', language, 'build')],
                   cwd=folder, check=False, timeout=600, env={
                       'PATH': '/usr/local/bin:/usr/bin:/bin',
                       'HOME': str(tmp_path), 'APP_DIR': str(folder),
                       'BUILD_DIR': str(tmp_path), 'CACHE_DIR': CACHE,
                       'ENTRYPOINT': '', 'MAIN': '', **env})
        return done.returncode, done.stdout, tmp_path
    return go


# ---- Go ----

def test_go(platform):
    platform.deploy(example('go'), '--project', 'notes-go')
    use_notes(platform, 'notes-go')


def test_go_names_the_line_that_does_not_compile(platform, copy):
    folder = copy('go', main_dot_go=lambda text: text.replace(
        'taskqueue.Add(ctx, task, "")', 'taskqueue.Ad(ctx, task, "")'))
    line = 1 + (folder / 'main.go').read_text()[:(
        folder / 'main.go').read_text().index('taskqueue.Ad(')].count('\n')
    said = refused(platform, folder, '--project', 'notes-go')
    assert f'main.go, line {line}: undefined: taskqueue.Ad' in said
    assert 'Looked at' in Page(platform, 'notes-go').text  # what ran, runs


LIBRARY = 'package lib\n\nfunc Answer() int { return 42 }\n'
ANSWER = ('package main\n\nimport "{}"\n\n'
          'func main() {{ println(lib.Answer()) }}\n')


def answer(folder):
    return run([os.path.join(folder, 'bin', 'main')]).stderr


def test_go_builds_what_main_names(build):
    files = {'go.mod': 'module app\n\ngo 1.19\n', 'lib/lib.go': LIBRARY,
             'cmd/web/main.go': ANSWER.format('app/lib')}
    for name in ('./cmd/web', 'cmd/web', 'app/cmd/web'):
        status, said, folder = build('go', files, MAIN=name)
        assert (status, answer(folder)) == (0, '42\n'), said
    status, said, _ = build('go', files, MAIN='lib')
    assert status != 0
    assert 'error: ./lib is package lib, and must be package main' in said


def test_go_respects_a_vendor_folder(build):
    status, said, folder = build('go', {
        'go.mod': 'module app\n\ngo 1.19\n\nrequire example.com/lib v1.0.0\n',
        'vendor/modules.txt': '# example.com/lib v1.0.0\n## explicit\n'
                              'example.com/lib\n',
        'vendor/example.com/lib/lib.go': LIBRARY,
        'main.go': ANSWER.format('example.com/lib')}, GOPROXY='off')
    assert (status, answer(folder)) == (0, '42\n'), said


@pytest.mark.parametrize('files, reason', [
    ({'main.go': 'package main\n'}, 'there is no go.mod: run `go mod init'),
    ({'go.mod': 'module app\n\ngo 1.999\n', 'main.go': 'package main\n'},
     'go.mod, line 3: Go 1.999 is wanted, and /'),
    ({'go.mod': 'module app\n\nrequires x\n', 'main.go': 'package main\n'},
     'go.mod, line 3: unknown directive: requires'),
    ({'go.mod': 'module app\n\ngo 1.19\n',
      'main.go': 'package main\n\nimport _ "example.com/gone"\n'},
     'main.go, line 3: no required module provides package '
     'example.com/gone'),
])
def test_go_says_what_is_wrong(build, files, reason):
    status, said, _ = build('go', files)
    assert status != 0
    assert f'\nerror: {reason}' in '\n' + said
