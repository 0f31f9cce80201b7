"""Reads signed deliveries as JSON lines and tells, line by line, whether the PyPI verifier accepts each."""

import json
import sys

from standardwebhooks import Webhook, WebhookVerificationError


def accepts(delivery):
    try:
        Webhook(delivery["secret"]).verify(delivery["body"].encode(), delivery["headers"], json_parse=False)
        return True
    except WebhookVerificationError:
        return False


for line in sys.stdin.buffer.read().decode().split("\n"):
    if line:
        print(json.dumps({"PyPI standardwebhooks": accepts(json.loads(line))}))
