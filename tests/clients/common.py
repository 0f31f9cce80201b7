"""What a run of a client is given."""

import os

URL = os.environ["TIELINE_URL"]
TOKEN = os.environ["TIELINE_TOKEN"]
ACCOUNT = int(os.environ["TIELINE_ACCOUNT"])


def is_equal(found, wanted):
    assert found == wanted, f"{found!r} is not {wanted!r}"
