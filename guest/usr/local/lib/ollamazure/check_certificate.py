#!/usr/bin/python3
"""Whether a file has a certificate with the private key that matches it.

check_certificate.py FILE
"""

import ssl
import sys

if __name__ == "__main__":
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(sys.argv[1])
    except (OSError, ssl.SSLError):
        sys.exit(1)
