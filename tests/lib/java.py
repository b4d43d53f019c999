"""Google's servlet runtime for Java, unmodified, over an emulator.

What it wants, found by trying runtime 2.0.19 on JDK 17 (the hosting of Java
applications will want the same):

  the jars      one folder with runtime-{main,impl,shared}.jar, named so, given
                as -Dclasspath.runtimebase and again as the last argument
  the war       an exploded one, by --fixed_application_path; without
                WEB-INF/appengine-generated/app.yaml it only logs a warning
  the server    --trusted_host=HOST:PORT.  API_HOST and API_PORT mean nothing
                to it; without the flag it takes LOCAL_API_HOSTPORT, but only
                when GAE_PARTITION is "dev"
  the listener  PORT, on every interface, and no flag for another
  who it is     GAE_APPLICATION, GAE_SERVICE, GAE_VERSION, GAE_DEPLOYMENT_ID,
                GAE_INSTANCE, as for every language
  its logs      --log_json_to_var_log=false; else it writes /var/log/app
  deadlines     --java_soft_deadline_ms and --java_hard_deadline_ms; a request
                is interrupted after 10 s otherwise.  --api_call_deadline (10 s)
                and --api_call_deadline_map bound the calls
  the JVM       the --add-opens below; the SDK's classes need Java 17

JavaRuntimeMainWithDefaults has a default for every flag of the runtime; those
given by hand win.  It is up in a second and takes 130 MB.  There is no word of
being ready: it takes connections only when it is.
"""
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request

from lib import paths, sdk
from lib.ports import free_port
from lib.process import Process, ProcessError

JARS = os.path.join(paths.ROOT, '.deps', 'java')
MAIN = 'com.google.apphosting.runtime.JavaRuntimeMainWithDefaults'
OPEN = ('java.base/java.lang', 'java.base/java.nio.charset',
        'java.logging/java.util.logging', 'java.base/java.util.concurrent')
DEADLINE_MS = 120000 * paths.SLOWNESS


def build_war(source, war):
    """source/war, source/src compiled and the jars, as a war in `war`."""
    shutil.copytree(os.path.join(source, 'war'), war)
    inside = os.path.join(war, 'WEB-INF')
    os.symlink(os.path.join(JARS, 'lib'), os.path.join(inside, 'lib'))
    files = [os.path.join(folder, name)
             for folder, _, names in os.walk(os.path.join(source, 'src'))
             for name in names]
    done = subprocess.run(
        ['javac', '--release', '17', '-encoding', 'UTF-8', '-proc:none',
         '-Xlint:all,-deprecation', '-Werror', '-d', os.path.join(inside, 'classes'),
         '-cp', ':'.join([os.path.join(JARS, 'lib', '*'),
                          os.path.join(JARS, 'runtime', '*')]), *files],
        stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


class JavaRuntime:
    """Ready when the constructor returns; stop() ends it."""

    def __init__(self, war, host, port, project=sdk.PROJECT, env=None,
                 logging=None, listen=0):
        jars = os.path.join(JARS, 'runtime')
        self.port = listen or free_port()
        self.process = Process(
            ['java', '-Xshare:auto', '-XX:TieredStopAtLevel=1',
             *(f'--add-opens={package}=ALL-UNNAMED' for package in OPEN),
             f'-Dclasspath.runtimebase={jars}',
             *([f'-Djava.util.logging.config.file={logging}']
               if logging else []),
             '-cp', os.path.join(jars, 'runtime-main.jar'), MAIN,
             f'--fixed_application_path={war}',
             f'--trusted_host={host}:{port}',
             '--log_json_to_var_log=false',
             f'--java_soft_deadline_ms={DEADLINE_MS}',
             f'--java_hard_deadline_ms={DEADLINE_MS}', jars],
            env={**sdk.environment(host, port, project),
                 'GAE_RUNTIME': 'java17', 'PORT': str(self.port),
                 **(env or {})},
            name='java runtime')
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}))
        try:
            self._wait_until_up()
        except BaseException:
            self.process.kill_session()
            raise

    def _wait_until_up(self):
        end = time.monotonic() + 60 * paths.SLOWNESS
        while True:
            try:
                return self.get('/')
            except OSError as error:
                if self.process.returncode is not None or (
                        time.monotonic() > end):
                    raise ProcessError(
                        f'the Java runtime is not up: {error}\n'
                        f'{self.output(60)}') from error
                time.sleep(0.05)

    def get(self, path, headers=()):
        """The status and the text of an answer."""
        request = urllib.request.Request(
            f'http://127.0.0.1:{self.port}{path}',
            headers={'X-Appengine-Api-Ticket': sdk.TICKET, **dict(headers)})
        try:
            with self._opener.open(
                    request, timeout=DEADLINE_MS / 1000) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(errors='replace')

    def stop(self):
        return self.process.stop()

    def output(self, lines=200):
        return self.process.output(lines)
