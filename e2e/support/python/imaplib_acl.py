"""Two sessions of Python's imaplib on one shared mailbox; prints a JSON object of what they saw. Usage: PORT OWNER GUEST PASSWORD"""

import imaplib
import json
import sys

port, owner, guest, password = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
seen = {}


def text(value):
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, (list, tuple)):
        return [text(item) for item in value]
    return value


def note(name, answer):
    typ, data = answer
    seen[name] = [typ, text(data)]
    return data


def login(user):
    session = imaplib.IMAP4("127.0.0.1", port, timeout=20)
    session.login(user, password)
    return session


A = login(owner)
B = login(guest)
shared = "user/%s/Team" % owner
note("create", A.create("Team"))
for number in range(3):
    A.append("Team", None, None, b"From: a@example.test\r\nSubject: %d\r\n\r\nText\r\n" % number)
note("before", B.select(shared))
note("setacl", A.setacl("Team", guest, "lrsw"))
note("setacl unknown", A.setacl("Team", "nobody@example.test", "lr"))
note("getacl", A.getacl("Team"))
note("myrights", B.myrights(shared))
note("namespace", B.namespace())
note("list", B.list('"user/"', "*"))
note("getacl guest", B.getacl(shared))
note("subscribe", B.subscribe(shared))
note("lsub", B.lsub())
note("select", B.select(shared))
note("store", B.store("1", "+FLAGS", "\\Seen"))
note("search guest", B.search(None, "UNSEEN"))
A.select("Team")
note("search owner", A.search(None, "UNSEEN"))
note("copy", B.copy("1:2", "INBOX"))
note("append", B.append(shared, None, None, b"Subject: x\r\n\r\nx\r\n"))
note("expunge", B.expunge())
note("status", B.status(shared, "(MESSAGES UNSEEN)"))
note("status inbox", B.status("INBOX", "(MESSAGES)"))
note("deleteacl", A.deleteacl("Team", guest))
note("getacl after", A.getacl("Team"))
try:
    B.noop()
    B.noop()  # the first may be what tells an instance that the other has taken the rights away
    seen["after"] = "still there"
except imaplib.IMAP4.abort as error:
    seen["after"] = "ended"
B = login(guest)
note("select after", B.select(shared))
B.logout()
A.logout()
print(json.dumps(seen))
