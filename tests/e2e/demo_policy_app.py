"""The demo under a policy: nothing inline but what stands in the examples' pages, by its hash."""

import base64
import hashlib
import re

import pbweb as pb
from examples import demo
from pbweb_server.app import application
from tests.e2e.chromium import PROJECT
from tests.e2e.csp_app import WithPolicy

EXAMPLES = PROJECT / "examples"


def hashes(tag: str) -> str:
    """The sources that allow the inline elements of all examples' pages."""
    pages = [path.read_text() for path in sorted(EXAMPLES.glob("*/index.html"))]
    texts = [
        text
        for page in pages
        for text in re.findall(rf"<{tag}[^>]*>(.*?)</{tag}>", page, re.DOTALL)
    ]
    digests = {hashlib.sha256(text.encode()).digest() for text in texts}
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in sorted(digests))


POLICY = (
    "default-src 'none'; base-uri 'self'; connect-src 'self'; frame-src 'self'; "
    f"img-src 'self' data:; script-src 'self' {hashes('script')}; "
    f"style-src 'self' {hashes('style')}; "
    "require-trusted-types-for 'script'; trusted-types pbweb-demo"
)

endpoints = {path: pb.endpoint(root) for path, root in demo.SERVICES.items()}
app = WithPolicy(application(endpoints, pages=EXAMPLES), POLICY)
