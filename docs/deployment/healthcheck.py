"""Ask the status page of the node in this container whether it is alive; exit 0 if it is, and 1 if not.

Only Python's own modules are used: it runs every 30 s, and to import the node takes longer than to ask.
"""

import ssl
import sys
import tomllib
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path

_TIMEOUT_S = 4
_EVERY_CARD = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - addresses that are not asked

web = tomllib.loads(Path(sys.argv[1]).read_text()).get("web", {})
host, port = web.get("host", "127.0.0.1"), web.get("port", 8080)
if not port:
    sys.exit(0)  # the site wants no page, so nothing can be asked
address = (_EVERY_CARD.get(host, host), port)
connection = HTTPConnection(*address, timeout=_TIMEOUT_S)
if web.get("https", False):
    # Within the container, where nobody else can listen; the certificate has the name that others call it by.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = HTTPSConnection(*address, timeout=_TIMEOUT_S, context=context)
connection.request("GET", "/healthz")
sys.exit(connection.getresponse().read() != b"alive\n")
