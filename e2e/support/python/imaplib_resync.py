"""Catches up with a mailbox since a MODSEQ by imaplib: prints what it heard and how long it took as JSON."""
import imaplib
import json
import sys
import time

port, user, password, mailbox, mod_seq = sys.argv[1:]
imap = imaplib.IMAP4("127.0.0.1", int(port))
imap.login(user, password)
imap.enable("QRESYNC")
began = time.monotonic()
status, _ = imap.select(mailbox)
assert status == "OK", status
status, fetched = imap.uid("FETCH", "1:*", f"(UID FLAGS) (CHANGEDSINCE {mod_seq} VANISHED)")
assert status == "OK", fetched
_, vanished = imap.response("VANISHED")
took = time.monotonic() - began
imap.logout()
print(
    json.dumps(
        {
            "fetched": [line.decode("latin-1") for line in fetched if line is not None],
            "vanished": [line.decode("latin-1") for line in vanished if line is not None],
            "seconds": took,
        }
    )
)
