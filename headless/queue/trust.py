"""Which certificates a server may show: those that the system trusts, and one of the user's own."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import httpcore

from ...svd.errors import InputError

OTHER_NAME = (62, 64)  # OpenSSL's numbers for a certificate of another host name, and of another address


def trusted(ca: Path | None) -> ssl.SSLContext:
    """The system's certificates, those of $SSL_CERT_FILE, and those of `ca`, in either form (PEM or DER).

    Raises:
        InputError: `ca` cannot be read, or holds none.
    """
    context = httpcore.default_ssl_context()
    if ca is None:
        return context
    if not ca.is_file():  # a pipe would be waited for
        raise InputError(f'"--ca {ca}": there is no such file.')
    try:
        data = ca.read_bytes()
        context.load_verify_locations(cadata=data.decode("ascii") if b"-----BEGIN" in data else data)
    except ssl.SSLError as error:
        raise InputError(f'"--ca {ca}" holds no certificates ({error.reason}); give a PEM or DER file.') from None
    except (OSError, ValueError) as error:
        what = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InputError(f'"--ca {ca}" cannot be read: {what}.') from None
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # newer Pythons ask for fields that home-made ones lack
    return context


def distrust(error: BaseException) -> str | None:
    """What is wrong with a certificate and what to do, as two clauses, if that is why a connection failed."""
    found = next((each for each in _causes(error) if isinstance(each, ssl.SSLCertVerificationError)), None)
    if found is None:
        return None
    remedy = (
        "give the address with the name that it was made for"
        if found.verify_code in OTHER_NAME
        else "if it is one of your own, name it, or its authority's, with --ca FILE or in $SSL_CERT_FILE"
    )
    return f"is not trusted ({found.verify_message.rstrip('.')}); {remedy}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
