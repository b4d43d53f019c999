"""tools/java-sdk trusts hashes, not what Maven brings."""
import hashlib
import os
import shutil

import pytest

from lib import paths
from lib.process import run

JARS = {'lib/sdk-1.jar': 'the SDK', 'runtime/main.jar': 'the runtime'}

# Puts files where pom.xml says, and counts its runs.
MAVEN = '''#!/bin/sh
echo run >>maven-runs
for arg; do case $arg in -Dout=*) out=${arg#-Dout=} ;; esac; done
mkdir -p "$out/lib" "$out/runtime"
printf 'the SDK' >"$out/lib/sdk-1.jar"
printf 'the runtime' >"$out/runtime/main.jar"
'''
FAILING = '''#!/bin/sh
echo '[ERROR] Could not transfer artifact x:y'
echo '[ERROR] Re-run Maven using the -X switch'
exit 1
'''


class Tree:
    """A checkout of what the script needs, with a Maven of our own."""

    def __init__(self, folder):
        self.folder = folder
        (folder / 'tools').mkdir()
        (folder / 'tests/sdk/java').mkdir(parents=True)
        (folder / 'bin').mkdir()
        shutil.copy(os.path.join(paths.ROOT, 'tools', 'java-sdk'),
                    folder / 'tools')
        self.hashes(JARS)
        self.maven(MAVEN)

    def hashes(self, jars):
        (self.folder / 'tests/sdk/java/jars.sha256').write_text(''.join(
            f'{hashlib.sha256(text.encode()).hexdigest()}  {name}\n'
            for name, text in sorted(jars.items())))

    def maven(self, script):
        path = self.folder / 'bin' / 'mvn'
        path.write_text(script)
        path.chmod(0o755)

    def run(self, *args):
        return run([self.folder / 'tools/java-sdk', *args], check=False,
                   env={'PATH': f'{self.folder}/bin:{os.environ["PATH"]}'})

    def runs(self):
        path = self.folder / 'maven-runs'
        return len(path.read_text().split()) if path.exists() else 0

    def jars(self):
        top = self.folder / '.deps/java'
        return {str(p.relative_to(top)): p.read_text()
                for p in top.glob('*/*')}

    def left_over(self):
        return [p.name for p in (self.folder / '.deps').glob('.java.*')]


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


def test_what_is_there_is_not_fetched_again(tree):
    assert tree.run().returncode == 0
    assert tree.jars() == JARS
    done = tree.run()
    assert (done.returncode, done.stdout, tree.runs()) == (0, '', 1)
    assert not tree.left_over()


@pytest.mark.parametrize('damage', [
    lambda top: (top / 'lib/sdk-1.jar').write_text('the SD'),
    lambda top: (top / 'lib/sdk-1.jar').unlink(),
    lambda top: (top / 'lib/other.jar').write_text('of an older list')],
    ids=['cut', 'missing', 'one too many'])
def test_what_is_not_as_listed_is_fetched_again(tree, damage):
    assert tree.run().returncode == 0
    damage(tree.folder / '.deps/java')
    assert tree.run().returncode == 0
    assert (tree.jars(), tree.runs()) == (JARS, 2)


def test_a_hash_that_does_not_match_is_refused(tree):
    assert tree.run().returncode == 0
    tree.hashes({**JARS, 'lib/sdk-1.jar': 'another SDK'})
    done = tree.run()
    assert done.returncode == 1
    assert 'lib/sdk-1.jar' in done.stderr
    assert tree.jars() == JARS and not tree.left_over()


def test_a_failure_is_said_in_a_line(tree):
    tree.maven(FAILING)
    done = tree.run()
    assert done.returncode == 1
    assert 'Could not transfer artifact x:y' in done.stderr
    assert 'Re-run' not in done.stderr
    assert not tree.left_over()


def test_the_list_is_what_a_download_has(tree):
    listed = (tree.folder / 'tests/sdk/java/jars.sha256').read_text()
    done = tree.run('--hash')
    assert (done.returncode, done.stdout) == (0, listed)
    assert not (tree.folder / '.deps/java').exists()
