"""A client of a platform, for programs: `openbell.Client`. What it returns are the records that the gateway itself sends."""

from openbell.client.client import Client
from openbell.client.stream import Message, Stream

__all__ = ["Client", "Message", "Stream"]
