"""Child processes whose output is awaited line by line.

A Process leads its own session, so stopping it takes whatever it started and
did not move elsewhere.  Nothing sleeps here: a reader thread hands lines over
under a condition variable, and waiting is for a line or for the end.
"""
import collections
import os
import re
import signal
import subprocess
import threading
import time

from lib import paths

KEEP_LINES = 5000

# As tests/meson.build has it, for the programs that Python tests start.
SANITIZERS = {
    'ASAN_OPTIONS': 'detect_leaks=1',
    'UBSAN_OPTIONS': 'print_stacktrace=1:halt_on_error=1',
    'TSAN_OPTIONS': 'ignore_noninstrumented_modules=1',
}


SANITIZER_SPEAKS = re.compile(
    r'(Address|Leak|Thread|UndefinedBehavior)Sanitizer|: runtime error: ')


class ProcessError(AssertionError):
    """The program did not do what was awaited; carries its last lines."""


class Process:
    def __init__(self, argv, env=None, cwd=None, name=None):
        self.argv = [str(a) for a in argv]
        self.name = name or os.path.basename(self.argv[0])
        self._lines = collections.deque(maxlen=KEEP_LINES)
        self._seen = 0              # lines ever read
        self._ended = False         # the output was closed
        self._report = []           # what a sanitizer said, from its first line
        self._changed = threading.Condition()
        self._child = subprocess.Popen(
            self.argv, cwd=cwd,
            env={**SANITIZERS, **os.environ, **(env or {})},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self):
        return self._child.pid

    @property
    def returncode(self):
        return self._child.poll()

    def _read(self):
        for raw in self._child.stdout:
            line = raw.decode(errors='replace').rstrip('\n')
            with self._changed:
                self._lines.append(line)
                self._seen += 1
                if self._report or SANITIZER_SPEAKS.search(line):
                    self._report = [*self._report[:200], line]
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def output(self, lines=KEEP_LINES):
        with self._changed:
            return '\n'.join(list(self._lines)[-lines:])

    def _fail(self, what):
        raise ProcessError(
            f'{self.name} (pid {self.pid}, exit {self.returncode}): {what}\n'
            f'--- its last lines:\n{self.output(60)}')

    @property
    def seen(self):
        """How many lines it has written."""
        with self._changed:
            return self._seen

    def wait_line(self, pattern, timeout=20, after=0):
        """The match of the first line, old or new, that `pattern` finds;
        `after`: not one of the first so many."""
        regex = re.compile(pattern)
        end = time.monotonic() + timeout * paths.SLOWNESS
        at = after
        with self._changed:
            while True:
                first = self._seen - len(self._lines)
                for i in range(max(at, first), self._seen):
                    found = regex.search(self._lines[i - first])
                    if found:
                        return found
                at = self._seen
                left = end - time.monotonic()
                if self._ended:
                    why = f'ended without a line like {pattern!r}'
                    break
                if left <= 0 or not self._changed.wait(left):
                    why = f'no line like {pattern!r} in {timeout} s'
                    break
        self._fail(why)

    def wait(self, timeout=20):
        """Its exit status; negative for a signal."""
        try:
            rc = self._child.wait(timeout * paths.SLOWNESS)
        except subprocess.TimeoutExpired:
            self._fail(f'still runs after {timeout} s')
        self._reader.join(5)
        return rc

    def ends_within(self, seconds):
        """Whether it ends by itself meanwhile."""
        try:
            self._child.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def send(self, sig):
        self._child.send_signal(sig)

    def kill9(self):
        """As a power cut: this process alone, no warning."""
        self.send(signal.SIGKILL)
        return self.wait()

    def stop(self, timeout=20):
        """SIGTERM, and its exit status; then whatever it left behind."""
        if self.returncode is None:
            self.send(signal.SIGTERM)
            try:
                self._child.wait(timeout * paths.SLOWNESS)
            except subprocess.TimeoutExpired:
                self.kill_session()
                self._fail(f'ignored SIGTERM for {timeout} s')
        self.kill_session()
        self._reader.join(5)
        if self._report:
            raise ProcessError(f'{self.name}: a sanitizer reports\n' +
                               '\n'.join(self._report))
        return self.returncode

    def kill_session(self):
        """Everything that is still in its process group, unasked."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._child.wait()


def run(argv, env=None, cwd=None, timeout=120, check=True):
    """Run to the end; the CompletedProcess with stdout and stderr as text."""
    done = subprocess.run(
        [str(a) for a in argv], cwd=cwd,
        env={**SANITIZERS, **os.environ, **(env or {})},
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=timeout * paths.SLOWNESS, start_new_session=True)
    if check and done.returncode != 0:
        raise ProcessError(f'{" ".join(done.args)}: exit {done.returncode}\n'
                           f'{done.stdout}{done.stderr}')
    return done
