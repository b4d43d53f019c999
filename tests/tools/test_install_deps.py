"""tools/install-deps keeps the services of what it installs off."""
import os
import shutil
import subprocess

import pytest

from lib import paths
from lib.process import run

POLICY = 'usr/sbin/policy-rc.d'
PRESET = 'run/systemd/system-preset/00-appscale-install.preset'

# What a package's scripts would be told, written down by `apt-get install`.
APT_GET = f'''#!/bin/sh
case " $* " in *" install "*) ;; *) exit 0 ;; esac
echo "$*" >arguments
"$APPSCALE_TEST_ROOT/{POLICY}" nginx start
echo $? >policy
cp "$APPSCALE_TEST_ROOT/{PRESET}" preset
[ ! -f kill ] || kill -9 $PPID
[ ! -f interrupted ] || {{ echo 'E: dpkg was interrupted'; exit 100; }}
[ ! -f fail ] || {{ echo 'E: no room'; exit 100; }}
touch installed
'''
COMMANDS = {
    'apt-get': APT_GET,
    'apt-cache': '#!/bin/sh\necho "  Candidate: 1.0"\n',
    'dpkg-query': '#!/bin/sh\n[ ! -f installed ] || echo "nginx installed"\n',
    'dpkg': '#!/bin/sh\n[ "$1 $2" != "--configure -a" ] || rm -f interrupted\n',
    'sudo': '#!/bin/sh\nexec "$@"\n',
}
ANN = '#!/bin/sh\necho 1000\n'
# With -n it must not ask; with -v it asks, and gets an answer once.
SUDO = '''#!/bin/sh
case $1 in
-n) [ -f asked ] && exit 0; echo 'sudo: a password is required' >&2; exit 1 ;;
-v) [ -f terminal ] && touch asked && exit 0
    echo 'sudo: a terminal is required' >&2; exit 1 ;;
esac
exec "$@"
'''


class Tree:
    """A checkout of what the script needs, on a machine that we make up."""

    def __init__(self, folder):
        self.folder = folder
        for name in ('tools', 'bin', 'root/usr/sbin'):
            (folder / name).mkdir(parents=True)
        shutil.copy(os.path.join(paths.ROOT, 'tools', 'install-deps'),
                    folder / 'tools')
        (folder / 'tools/apt-packages.txt').write_text('nginx  # the edge\n')
        for name, script in COMMANDS.items():
            self.command(name, script)

    def command(self, name, script):
        path = self.folder / 'bin' / name
        path.write_text(script)
        path.chmod(0o755)

    def run(self, *args):
        return run([self.folder / 'tools/install-deps', *args], check=False,
                   env={'PATH': f'{self.folder}/bin:{os.environ["PATH"]}',
                        'APPSCALE_TEST_ROOT': str(self.folder / 'root')})

    def policy(self):
        return self.folder / 'root' / POLICY

    def preset(self):
        return self.folder / 'root' / PRESET

    def said(self, name):
        return (self.folder / name).read_text()


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


def test_services_are_neither_started_nor_enabled(tree):
    assert tree.run().returncode == 0
    assert tree.said('policy') == '101\n'
    assert 'disable nginx.service\n' in tree.said('preset')
    assert tree.said('arguments').endswith('install '
                                           '--no-install-recommends nginx\n')
    assert not tree.policy().exists()
    assert not tree.preset().exists()


def test_what_is_installed_is_left_alone(tree):
    (tree.folder / 'installed').touch()
    assert tree.run().returncode == 0
    assert not (tree.folder / 'arguments').exists()


def test_what_another_package_provides_is_there(tree):
    tree.command('dpkg-query', '#!/bin/sh\n'
                 'echo "installed httpd, nginx (= 1.2), www"\n')
    assert tree.run('--list').stdout == ''
    tree.command('dpkg-query', '#!/bin/sh\n'
                 'echo "config-files nginx"\necho "installed nginx-doc"\n')
    assert tree.run('--list').stdout == 'nginx\n'


def test_failed_installation_leaves_nothing(tree):
    (tree.folder / 'fail').touch()
    result = tree.run()
    assert result.returncode == 1
    assert 'E: no room' in result.stderr
    assert not tree.policy().exists()
    assert not tree.preset().exists()


def test_administrators_policy_stays(tree):
    tree.policy().write_text('#!/bin/sh\nexit 104\n')
    tree.policy().chmod(0o755)
    assert tree.run().returncode == 0
    assert tree.said('policy') == '104\n'
    assert tree.policy().read_text() == '#!/bin/sh\nexit 104\n'


def test_killed_installation_blocks_no_later_one(tree):
    (tree.folder / 'kill').touch()
    assert tree.run().returncode == 1
    assert subprocess.run([tree.policy(), 'nginx', 'start']).returncode == 0
    (tree.folder / 'kill').unlink()
    (tree.folder / 'installed').unlink(missing_ok=True)
    assert tree.run().returncode == 0
    assert tree.said('policy') == '101\n'
    assert not tree.policy().exists()
    assert not tree.preset().exists()


def test_interrupted_dpkg_is_repaired(tree):
    (tree.folder / 'interrupted').touch()
    assert tree.run().returncode == 0
    assert (tree.folder / 'installed').exists()
    assert not tree.policy().exists()


def test_sudo_may_ask_before_the_installation(tree):
    tree.command('id', ANN)
    tree.command('sudo', SUDO)
    (tree.folder / 'terminal').touch()
    assert tree.run('--run', '--sudo').returncode == 0
    assert (tree.folder / 'asked').exists()
    assert not (tree.folder / 'arguments').exists()
    (tree.folder / 'terminal').unlink()
    assert tree.run('--run').returncode == 0
    assert (tree.folder / 'installed').exists()


def test_sudo_that_refuses_says_so(tree):
    tree.command('id', ANN)
    tree.command('sudo', SUDO)
    result = tree.run()
    assert result.returncode == 1
    assert 'sudo: a terminal is required' in result.stderr
    assert 'as root, run:\n  apt-get install nginx\n' in result.stderr
    assert not (tree.folder / 'arguments').exists()


def test_nothing_missing_asks_nothing(tree):
    tree.command('id', ANN)
    tree.command('sudo', SUDO)
    (tree.folder / 'installed').touch()
    assert tree.run('--sudo').returncode == 0
    assert tree.run().returncode == 0


def test_options(tree):
    assert tree.run('--list').stdout == 'nginx\n'
    assert tree.run('--list', '--run').stdout == 'nginx\n'
    result = tree.run('--lsit')
    assert result.returncode == 1
    assert 'unknown option --lsit' in result.stderr
