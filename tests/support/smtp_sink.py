"""An SMTP server that keeps what it receives: smtp_sink.py PORT FOLDER.

Each message becomes two files: `<n>.eml`, the bytes after DATA as they arrived, and `<n>.json` with the envelope.
The JSON file appears last and whole, so whoever sees it may read both.
"""

import asyncio
import itertools
import json
import os
import sys

from aiosmtpd.smtp import SMTP


class Sink:
    def __init__(self, folder):
        self.folder = folder
        self.numbers = itertools.count(1)

    async def handle_DATA(self, server, session, envelope):
        name = os.path.join(self.folder, f"{next(self.numbers):06}")
        with open(name + ".eml", "wb") as message:
            message.write(envelope.original_content)
        with open(name + ".part", "w", encoding="utf-8") as note:
            json.dump({"from": envelope.mail_from, "to": envelope.rcpt_tos}, note)
        os.rename(name + ".part", name + ".json")
        return "250 kept"


async def serve(port, folder):
    sink = Sink(folder)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(sink, enable_SMTPUTF8=True), "127.0.0.1", port)
    await server.serve_forever()


asyncio.run(serve(int(sys.argv[1]), sys.argv[2]))
