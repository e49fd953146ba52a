"""An SMTP server that keeps what it receives: smtp_sink.py PORT FOLDER [CERTIFICATE KEY USER PASSWORD].

Each message becomes two files: `<n>.eml`, the bytes after DATA as they arrived, and `<n>.json` with the envelope and
what Python's own parser reads in the message. The JSON file appears last and whole, so whoever sees it may read both.

With a certificate, nothing is taken before STARTTLS and this user's password.
"""

import asyncio
import base64
import email
import email.policy
import itertools
import json
import os
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult


def content(part):
    return part.get_content().replace("\r\n", "\n") if part else None


def read(original):
    message = email.message_from_bytes(original, policy=email.policy.default)
    return {
        "subject": str(message["subject"]),
        "text": content(message.get_body(("plain",))),
        "html": content(message.get_body(("html",))),
        "attachments": [
            {
                "name": part.get_filename(),
                "type": part.get_content_type(),
                "base64": base64.b64encode(part.get_payload(decode=True)).decode(),
            }
            for part in message.iter_attachments()
        ],
    }


class Sink:
    def __init__(self, folder):
        self.folder = folder
        self.numbers = itertools.count(1)

    async def handle_DATA(self, server, session, envelope):
        name = os.path.join(self.folder, f"{next(self.numbers):06}")
        with open(name + ".eml", "wb") as message:
            message.write(envelope.original_content)
        note = {"from": envelope.mail_from, "to": envelope.rcpt_tos, **read(envelope.original_content)}
        with open(name + ".part", "w", encoding="utf-8") as part:
            json.dump(note, part)
        os.rename(name + ".part", name + ".json")
        return "250 kept"


def settings(certificate, key, user, password):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def authenticator(server, session, envelope, mechanism, given):
        # Not handled: the server is to give the answer.
        return AuthResult(success=(given.login, given.password) == (user.encode(), password.encode()), handled=False)

    return {
        "tls_context": context,
        "require_starttls": True,
        "auth_required": True,
        "authenticator": authenticator,
    }


async def serve(port, folder, *security):
    sink = Sink(folder)
    more = settings(*security) if security else {}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(sink, enable_SMTPUTF8=True, **more), "127.0.0.1", port)
    await server.serve_forever()


asyncio.run(serve(int(sys.argv[1]), *sys.argv[2:]))
