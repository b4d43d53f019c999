"""Ports of loopback that no other test takes.

They lie below those that the kernel gives to outgoing connections: a port of
its choice may be the near end of anybody's connection by the time that a
program listens on it.  A Block is lent to one process of a test run at a time,
by a lock on a file.
"""
import fcntl
import os
import socket
import tempfile

FIRST, SIZE, COUNT = 21000, 60, 190
FOLDER = os.path.join(tempfile.gettempdir(), 'appscale-test-ports')


def is_free(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(('', port))
        except OSError:
            return False
    return True


def lock(number):
    """The descriptor that holds block `number`, or None."""
    path = os.path.join(FOLDER, str(number))
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        return None
    return fd


class Block:
    """SIZE ports in a row, all free when they are lent."""

    def __init__(self):
        mask = os.umask(0)      # another user's tests lock the same files
        try:
            os.makedirs(FOLDER, exist_ok=True)
            self._claim()
        finally:
            os.umask(mask)

    def _claim(self):
        for number in range(COUNT):
            self._fd = lock(number)
            if self._fd is None:
                continue
            self.first = FIRST + number * SIZE
            self.last = self.first + SIZE - 1
            if all(map(is_free, range(self.first, self.last + 1))):
                return
            self.close()
        raise RuntimeError(f'{COUNT} blocks of ports are in use')

    def settings(self):
        """Those of a platform that has the block to itself."""
        return {'http_port': self.first, 'https_port': self.first + 1,
                'api_port': self.first + 2,
                'instance_port_first': self.first + 3,
                'instance_port_last': self.last}

    def close(self):
        if self._fd is not None:
            os.close(self._fd)
        self._fd = None


class Ports:
    """One at a time, those that were lent longest ago again at last."""

    def __init__(self):
        self._block, self._next = None, 0

    def free(self):
        self._block = self._block or Block()
        for _ in range(SIZE):
            port = self._block.first + self._next
            self._next = (self._next + 1) % SIZE
            if is_free(port):
                return port
        raise RuntimeError('every port of the block is in use')


free_port = Ports().free
