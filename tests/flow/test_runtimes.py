"""Every language: its example is deployed as a person does it, and used."""
import concurrent.futures
import hashlib
import http.client
import json
import os
import re
import shutil
import time
import zipfile
from pathlib import Path
from urllib.parse import urlencode

import pytest

from lib import java, paths
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


def line_of(path, text):
    before, _, _ = path.read_text().partition(text)
    return 1 + before.count('\n')


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
    looks = [int(re.search('Looks: ([0-9]+)',
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
    line = line_of(folder / 'main.go', 'taskqueue.Ad(')
    said = refused(platform, folder, '--project', 'notes-go')
    assert f'main.go, line {line}: undefined: taskqueue.Ad' in said
    assert 'The whole log: appscale logs notes-go --build' in said
    # It stays until the next build; that of what runs is there as well.
    log = platform.cli('logs', 'notes-go', '--build').stdout
    assert f'./main.go:{line}:' in log and 'step: Compiling' in log
    version = platform.json('status')['apps'][0]['services'][0]['version']
    log = platform.cli('logs', 'notes-go', '--build', '--version',
                       version).stdout
    assert 'step: Compiling' in log and 'undefined' not in log
    assert 'Looks: ' in Page(platform, 'notes-go').text  # what ran, runs


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
    ({'go.mod': 'module app\n\ngo 1.19\n\nrequire example.com/lib v1.0.0\n',
      'main.go': 'package main\n\nimport _ "example.com/lib"\n'},
     'main.go, line 3: missing go.sum entry for module providing package '
     'example.com/lib (imported by app); to add: go '),
])
def test_go_says_what_is_wrong(build, files, reason):
    status, said, _ = build('go', files)
    assert status != 0
    assert f'\nerror: {reason}' in '\n' + said


# ---- Java ----

def test_java_from_its_source(platform):
    """A Maven project with appengine-web.xml and no app.yaml."""
    platform.deploy(example('java'), '--project', 'notes-java')
    use_notes(platform, 'notes-java')
    assert 'max-age=600' in Page(
        platform, 'notes-java', '/static/style.css').headers['Cache-Control']


def test_java_names_the_line_that_does_not_compile(platform, copy):
    folder = copy('java', src__main__java__notes__Counter_dot_java=lambda
                  text: text.replace('note.setUnindexed', 'note.setUnindex'))
    name = 'src/main/java/notes/Counter.java'
    line = line_of(folder / name, 'note.setUnindexProperty')
    said = refused(platform, folder, '--project', 'notes-java')
    assert f'{name}, line {line}: cannot find symbol' in said
    assert 'Looks: ' in Page(platform, 'notes-java').text  # what ran, runs


SESSION_JAVA = '''
import java.io.IOException;
import javax.servlet.http.*;

public class Session extends HttpServlet {
  @Override
  protected void doGet(HttpServletRequest request, HttpServletResponse response)
      throws IOException {
    HttpSession session = request.getSession();
    Integer before = (Integer) session.getAttribute("n");
    int n = before == null ? 1 : before + 1;
    session.setAttribute("n", n);
    response.setContentType("text/plain");
    response.getWriter().print(n + " " + System.getProperty("who") + " "
        + System.getenv("WHERE") + " " + request.getRequestURI());
  }
}
'''
APPENGINE_WEB = '''
<appengine-web-app xmlns="http://appengine.google.com/ns/1.0">
  <runtime>java17</runtime>
  <instance-class>F2</instance-class>
  <sessions-enabled>true</sessions-enabled>
  <system-properties><property name="who" value="property"/></system-properties>
  <env-variables><env-var name="WHERE" value="variable"/></env-variables>
</appengine-web-app>
'''


def test_java_serves_a_war(platform, tmp_path):
    """Everything in it is static but what is not: folders of the war, pages
    that are programs, and what only the servlets know."""
    inside = tmp_path / 'WEB-INF'
    (inside / 'classes').mkdir(parents=True)
    (inside / 'appengine-web.xml').write_text(APPENGINE_WEB)
    (inside / 'web.xml').write_text(
        '<web-app xmlns="http://xmlns.jcp.org/xml/ns/javaee" version="3.1">'
        '<servlet><servlet-name>s</servlet-name>'
        '<servlet-class>Session</servlet-class></servlet>'
        '<servlet-mapping><servlet-name>s</servlet-name>'
        '<url-pattern>/count/*</url-pattern></servlet-mapping></web-app>')
    (inside / 'lib').mkdir()
    for name in os.listdir(os.path.join(java.JARS, 'lib')):
        if name.startswith('appengine-api'):
            shutil.copy(os.path.join(java.JARS, 'lib', name),
                        inside / 'lib')
    (tmp_path / 'Session.java').write_text(SESSION_JAVA)
    run(['javac', '--release', '17', '-d', inside / 'classes', '-cp',
         os.path.join(java.JARS, 'runtime', '*'), tmp_path / 'Session.java'])
    (tmp_path / 'Session.java').unlink()
    (tmp_path / 'page.txt').write_text('static')
    (tmp_path / 'index.html').write_text('welcome')
    platform.deploy(str(tmp_path), '--project', 'war')
    assert Page(platform, 'war', '/page.txt').text == 'static'
    assert Page(platform, 'war').text == 'welcome'
    assert Page(platform, 'war', '/WEB-INF/web.xml').status == 404
    page = Page(platform, 'war', '/count/a')
    assert page.text == '1 property variable /count/a'
    cookie = {'Cookie': page.headers['Set-Cookie'].partition(';')[0]}
    assert Page(platform, 'war', '/count/b', headers=cookie).text == (
        '2 property variable /count/b')
    # A session is in the datastore: another instance goes on with it.
    platform.deploy(str(tmp_path), '--project', 'war')
    assert Page(platform, 'war', '/count/c', headers=cookie).text == (
        '3 property variable /count/c')


MAIN_JAVA = '''
import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;

public class Main {
  public static void main(String[] args) throws Exception {
    int port = Integer.parseInt(System.getenv("PORT"));
    HttpServer server =
        HttpServer.create(new InetSocketAddress("127.0.0.1", port), 0);
    server.createContext("/", exchange -> {
      byte[] body = ("a jar with "
          + (Runtime.getRuntime().maxMemory() >> 20) + " MiB\\n").getBytes();
      exchange.sendResponseHeaders(200, body.length);
      exchange.getResponseBody().write(body);
      exchange.close();
    });
    server.start();
  }
}
'''


def jar(folder, name='app.jar'):
    """Main.java in a jar whose manifest has a Main-Class."""
    (folder / 'Main.java').write_text(MAIN_JAVA)
    run(['javac', '--release', '17', '-d', folder, folder / 'Main.java'])
    with zipfile.ZipFile(folder / name, 'w') as out:
        out.writestr('META-INF/MANIFEST.MF', 'Main-Class: Main\n\n')
        for path in folder.glob('*.class'):
            out.write(path, path.name)
            path.unlink()


def test_java_runs_a_jar(platform, tmp_path):
    (tmp_path / 'app.yaml').write_text('runtime: java17\n'
                                       'instance_class: F2\n')
    jar(tmp_path)
    platform.deploy(str(tmp_path), '--project', 'jar')
    text = Page(platform, 'jar').text
    # The heap has 53 % of the class's 768 MB; collectors keep some of it.
    assert 360 <= int(re.fullmatch('a jar with ([0-9]+) MiB\n', text)[1]) <= 410


def test_java_says_what_is_wrong(build, tmp_path):
    status, said, folder = build('java', {'README': ''}, GAE_RUNTIME='java17')
    assert status != 0
    assert '\nerror: there is neither WEB-INF/appengine-web.xml, nor a jar' \
        in said
    jar(folder / 'app', 'one.jar')
    jar(folder / 'app', 'two.jar')
    status, said, _ = build('java', {}, GAE_RUNTIME='java17')
    assert status != 0
    assert ('error: the application\'s folder holds more than one jar with a '
            'Main-Class: one.jar two.jar. Keep one') in said
    (folder / 'app' / 'two.jar').unlink()
    assert build('java', {}, GAE_RUNTIME='java17')[0] == 0


def test_java_names_the_line_of_pom_xml(build, tmp_path):
    with open(os.path.join(example('java'), 'pom.xml')) as f:
        pom = f.read()
    for change, reason in (
            (('<version>3.1.0</version>', ''), 'javax.servlet-api'),
            (('</dependencies>', '</dependency>'), 'Non-parseable POM')):
        status, said, _ = build('java', {'pom.xml': pom.replace(*change)},
                                GAE_RUNTIME='java17')
        assert status != 0
        assert re.search(f'\nerror: pom.xml, line [0-9]+: .*{reason}', said), \
            said


# ---- Node.js ----

def test_nodejs(platform):
    platform.deploy(example('nodejs'), '--project', 'markdown')
    assert 'in Node.js' in Page(platform, 'markdown').text
    assert Page(platform, 'markdown', '/static/page.js').status == 200
    page = Page(platform, 'markdown', '/render', body='*a* <b> `c`')
    assert (page.status, page.text) == (
        200, '<p><em>a</em> &#60;b&#62; <code>c</code></p>\n')
    # The same packages again: out of the cache, even without a network.
    folder = Path(platform.root, 'apps', 'markdown')
    modules, = folder.glob('*/*/*/app/node_modules')
    assert os.path.realpath(modules).startswith(os.path.realpath(CACHE))


def packages(folder):
    return sorted(os.listdir(folder / 'app' / 'node_modules'))


def test_nodejs_builds_with_the_packages_that_development_wants(build):
    """gcp-build goes before build, and sees what the instance does not."""
    files = {'package.json': json.dumps({
        'name': 'app', 'version': '1.0.0',
        'scripts': {'gcp-build': 'cp node_modules/two/made made',
                    'build': 'false', 'start': 'cat made'},
        'dependencies': {'one': 'file:one'},
        'devDependencies': {'two': 'file:two'}}),
        'one/package.json': '{"name": "one", "version": "1.0.0"}',
        'two/package.json': '{"name": "two", "version": "1.0.0"}',
        'two/made': 'by two'}
    status, said, folder = build('nodejs', files)
    assert status == 0, said
    assert (folder / 'app' / 'made').read_text() == 'by two'
    assert [p for p in packages(folder) if p[0] != '.'] == ['one']
    assert (folder / 'npm-start').read_text() == 'cat made\n'


@pytest.mark.parametrize('files, reason', [
    ({'x': ''}, 'package.json has no "start" script, there is no server.js'),
    ({'package.json': '{\n "name": "a",\n "version": "1.0.0"\n "x": 1\n}\n'},
     'package.json, line 4: '),
    ({'package.json': '{\n "engines": {"node": ">=999"}\n}\n'},
     'package.json, line 2: Node.js >=999 is wanted, and this is v'),
    ({'package.json': '{"name": "a",\n "scripts": {\n'
                      '  "build": "echo because; exit 3"}}'},
     'npm run build (package.json, line 3) failed: because'),
    ({'package.json': '{"dependencies": {\n "marked": "999.0.0"}}'},
     'package.json, line 2: No matching version found for marked@999.0.0'),
    ({'package.json': '{"dependencies": {\n "marked": "12.0.2"}}',
      'package-lock.json': '{"lockfileVersion": 3, "packages": {"": {}}}'},
     'package.json: `npm ci` can only install packages when your '
     'package.json and package-lock.json'),
])
def test_nodejs_says_what_is_wrong(build, files, reason):
    status, said, _ = build('nodejs', files)
    assert status != 0
    assert f'\nerror: {reason}' in '\n' + said


# ---- PHP ----

def upload(data, name='a.txt'):
    body = (b'--frontier\r\nContent-Disposition: form-data; name="file"; '
            b'filename="' + name.encode() + b'"\r\n\r\n' + data +
            b'\r\n--frontier--\r\n')
    return {'body': body, 'headers': {
        'Content-Type': 'multipart/form-data; boundary=frontier'}}


def test_php(platform):
    platform.deploy(example('php'), '--project', 'fingerprints')
    assert 'in PHP' in Page(platform, 'fingerprints').text
    assert Page(platform, 'fingerprints', '/static/style.css').headers[
        'Content-Type'] == 'text/css'
    for path in ('/src/Upload.php', '/composer.json', '/index.php/x'):
        assert Page(platform, 'fingerprints', path).status == 404
    for size in (10, 30 << 20):
        data = b'<p>' * size
        data = data[:size]
        page = Page(platform, 'fingerprints', **upload(data, 'a&b'))
        assert page.status == 200
        assert hashlib.sha256(data).hexdigest() in page.text
        assert f'{size:,} bytes' in page.text
        assert 'a&amp;b' in page.text


# Answers once as many requests are under way as it is told.
TOGETHER = '''<?php
header('Content-Type: application/json');
$wanted = (int) ($_GET['n'] ?? exit());
$end = time() + 60;
$folder = ini_get('upload_tmp_dir') . '/together';
@mkdir($folder);
touch("$folder/" . getmypid());
while (($n = count(glob("$folder/*"))) < $wanted && time() < $end) {
    usleep(10000);
}
error_log("there were $n");
echo json_encode(['n' => $n, 'https' => $_SERVER['HTTPS'] ?? null,
    'uri' => $_SERVER['REQUEST_URI'], 'peer' => $_SERVER['REMOTE_ADDR'],
    'env' => getenv('SET'), 'build' => getenv('BUILT'),
    'limit' => ini_get('memory_limit'), 'own' => ini_get('precision')]);
'''


def test_php_answers_many_at_once_and_knows_its_surroundings(
        platform, tmp_path):
    (tmp_path / 'app.yaml').write_text(
        'runtime: php82\nenv_variables: {SET: one}\n'
        'build_env_variables: {BUILT: two}\n'
        'entrypoint: serve --workers=1 web/front.php\n')
    (tmp_path / 'web').mkdir()
    (tmp_path / 'web' / 'front.php').write_text(TOGETHER)
    (tmp_path / 'php.ini').write_text('precision = 9\n')
    platform.deploy(str(tmp_path), '--project', 'together')
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        pages = list(pool.map(
            lambda i: Page(platform, 'together', f'/a%20b/{i}?n=6'),
            range(6)))
    for i, page in enumerate(pages):
        assert json.loads(page.text) == {
            'n': 6, 'https': None, 'uri': f'/a%20b/{i}?n=6',
            'peer': '127.0.0.1', 'env': 'one', 'build': False,
            'limit': '192M', 'own': '9'}
    assert 'there were 6' in platform.cli('logs', 'together').stdout


@pytest.mark.parametrize('files, reason', [
    ({'a.php': ''}, 'there is neither public/index.php nor index.php'),
    ({'index.php': '<?php\n', 'lib/a.php': '<?php\n\nfunction {\n'},
     'lib/a.php, line 3: syntax error, unexpected token "{"'),
    ({'index.php': '<?php\n', 'composer.json': '{\n "name": "a/b"\n "x": 1}\n'},
     'composer.json, line 2: Expected one of'),
    ({'index.php': '<?php\n', 'composer.json':
      '{"require": {"php": ">=99"}}'},
     'composer.json: Root composer.json requires php >=99 but your php '
     'version'),
    ({'index.php': '<?php\n', 'composer.json':
      '{"scripts": {"gcp-build": "echo because && false"}}'},
     'composer run-script gcp-build failed: '),
])
def test_php_says_what_is_wrong(build, files, reason):
    status, said, _ = build('php', files, GAE_RUNTIME='php82')
    assert status != 0
    assert f'\nerror: {reason}' in '\n' + said


# ---- Ruby ----

def test_ruby(platform):
    """With the gems that the machine's packages have."""
    platform.deploy(example('ruby'), '--project', 'colours')
    page = Page(platform, 'colours', '/?word=%3Csea%3E')
    assert page.status == 200 and 'value="&lt;sea&gt;"' in page.text
    found = re.findall(r'<code>(hsl\(.*?\))</code>', page.text)
    assert len(found) == 5
    assert found == re.findall(r'<code>(hsl\(.*?\))</code>', Page(
        platform, 'colours', '/?word=%3CSea%3E').text)
    assert Page(platform, 'colours', '/config.ru').status == 404


def test_ruby_builds_with_the_gems_of_a_gemfile(build):
    files = {'config.ru': '', 'Gemfile': 'gem "puma", ">= 1"\n'}
    status, said, folder = build('ruby', files, GAE_RUNTIME='ruby32')
    assert status == 0, said
    assert (folder / 'gems').is_dir()
    assert 'puma' in (folder / 'app' / 'Gemfile.lock').read_text()
    assert build('ruby', {}, GAE_RUNTIME='ruby32')[0] == 0


@pytest.mark.parametrize('files, reason', [
    ({'a.rb': ''}, 'there is neither bin/rails nor config.ru'),
    ({'config.ru': '', 'Gemfile': '\ngem "rack", "= 0.0.1"\n'},
     'Gemfile: Could not find gem'),
    ({'config.ru': '', 'Gemfile': 'gem "rack"\n\ngm "puma"\n'},
     'Gemfile, line 3: There was an error parsing `Gemfile`'),
])
def test_ruby_says_what_is_wrong(build, files, reason):
    status, said, _ = build('ruby', files, GAE_RUNTIME='ruby32')
    assert status != 0
    assert f'\nerror: {reason}' in '\n' + said


# ---- any program ----

def test_custom(platform):
    """A program of the archive's own: it keeps its executable bit."""
    platform.deploy(example('custom'), '--project', 'anything')
    text = Page(platform, 'anything', '/some/where?a=<b>').text
    assert '<code>GET /some/where?a=&#60;b&#62; HTTP/1.1</code>' in text
    assert '<th>GAE_RUNTIME</th><td>custom</td>' in text
    assert 'x-appengine-https' in text.lower()
    assert 'ticket' not in text.lower()
    assert Page(platform, 'anything', '/static/style.css').status == 200


def test_custom_wants_an_entrypoint(build):
    status, said, _ = build('custom', {'README': ''})
    assert status != 0
    assert said.startswith('error: `runtime: custom` wants an entrypoint')


# ---- their environments ----

def test_build_and_instance_have_variables_of_their_own(platform, tmp_path):
    """build_env_variables reach the build alone; the class, the instance."""
    (tmp_path / 'package.json').write_text(json.dumps({'scripts': {
        'build': 'echo "$ONE $TWO $GOOGLE_RUNTIME" >seen',
        'start': 'node server.js'}}))
    (tmp_path / 'app.yaml').write_text(
        'runtime: nodejs20\ninstance_class: F4\n'
        'env_variables: {ONE: one, PORT: "1"}\n'
        'build_env_variables: {TWO: two, PATH: /nowhere}\n')
    (tmp_path / 'server.js').write_text(
        'const seen = require("fs").readFileSync("seen", "utf8");\n'
        'const answer = JSON.stringify({ seen, env: process.env });\n'
        'require("http").createServer((request, response) => {\n'
        '  response.end(answer);\n'
        '}).listen(process.env.PORT, "127.0.0.1");\n')
    platform.deploy(str(tmp_path), '--project', 'variables')
    told = json.loads(Page(platform, 'variables').text)
    assert told['seen'] == ' two nodejs20\n'
    env = told['env']
    assert env['ONE'] == 'one'
    assert 'TWO' not in env
    assert (env['GAE_MEMORY_MB'], env['WEB_CONCURRENCY']) == ('1536', '8')
    assert env['NODE_ENV'] == 'production'
