"""TLS as a client sees it, and certificates made for tests."""
import datetime
import json
import socket
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from lib import paths


class Issued:
    """A certificate with its key; `by` another one, or signed by itself."""

    def __init__(self, *names, by=None, days=90, authority=False, bits=0):
        self.key = rsa.generate_private_key(65537, bits) if bits else \
            ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(
            NameOID.COMMON_NAME, names[0])])
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(
            by.certificate.subject if by else subject).public_key(
            self.key.public_key()).serial_number(
            x509.random_serial_number()).not_valid_before(
            now - datetime.timedelta(days=100)).not_valid_after(
            now + datetime.timedelta(days=days)).add_extension(
            x509.BasicConstraints(authority, None), True)
        if not authority:
            builder = builder.add_extension(x509.SubjectAlternativeName(
                [x509.DNSName(n) for n in names]), False)
        self.certificate = builder.sign(
            by.key if by else self.key, hashes.SHA256())
        self.serial = self.certificate.serial_number
        self.pem = self.certificate.public_bytes(
            serialization.Encoding.PEM).decode()
        self.private = self._private(serialization.NoEncryption())

    def _private(self, how):
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            how).decode()

    def locked(self):
        return self._private(serialization.BestAvailableEncryption(b'word'))

    def raw(self, chain='', key=None):
        """As the Admin API has it."""
        return {'publicCertificate': self.pem + chain,
                'privateKey': key or self.private}


def connect(port, name, trust=None, alpn=('http/1.1',)):
    """A TLS connection; with `trust` (PEM) it verifies the certificate."""
    context = ssl.create_default_context(cadata=trust) if trust else \
        ssl._create_unverified_context()
    context.set_alpn_protocols(list(alpn))
    plain = socket.create_connection(('127.0.0.1', port),
                                     timeout=30 * paths.SLOWNESS)
    return context.wrap_socket(plain, server_hostname=name)


def shown(port, name):
    """The certificate that is shown for a name."""
    with connect(port, name) as s:
        return x509.load_der_x509_certificate(s.getpeercert(True))


def ask(port, name, path='/', trust=None, headers=''):
    """One GET over HTTP/1.1: status, headers by lower-case name, body."""
    with connect(port, name, trust) as s:
        s.sendall(f'GET {path} HTTP/1.1\r\nHost: {name}:{port}\r\n'
                  f'{headers}Connection: close\r\n\r\n'.encode())
        data = b''
        while piece := s.recv(65536):
            data += piece
    head, _, body = data.partition(b'\r\n\r\n')
    lines = head.decode().split('\r\n')
    fields = {k.lower(): v for k, _, v in (x.partition(': ')
                                           for x in lines[1:])}
    if fields.get('transfer-encoding') == 'chunked':
        body = body.partition(b'\r\n')[2]
    return int(lines[0].split()[1]), fields, body.decode()


def ask_app(port, name, path='/', **kwargs):
    """What an app of flow/apps.py says that it saw."""
    status, _, body = ask(port, name, path, **kwargs)
    assert status == 200, body
    return json.loads(body)
