"""One session of Python's imaplib with everything that it has; prints a JSON object of what it saw. Usage: PORT USER PASSWORD TLSPORT"""

import datetime
import imaplib
import json
import ssl
import sys

port, user, password, tls_port = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
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


M = imaplib.IMAP4("127.0.0.1", port, timeout=20)
try:
    M.login(user, "wrong")
    seen["wrong password"] = "accepted"
except imaplib.IMAP4.error as error:
    seen["wrong password"] = str(error)
note("login", M.login(user, password))
note("capability", M.capability())
note("namespace", M.namespace())
note("create", M.create("Work"))
note("create again", M.create("Work"))
note("subscribe", M.subscribe("Work"))
note("lsub", M.lsub())
note("list", M.list('""', "*"))
body = b"From: bob@example.org\r\nSubject: from imaplib\r\n\r\nLine one\r\n.dot line\r\n"
when = datetime.datetime(2026, 3, 3, 10, 0, 0, tzinfo=datetime.timezone.utc)
for number in range(5):
    note("append %d" % number, M.append("Work", "(\\Seen $Label1)" if number == 0 else None, when, body.replace(b"one", b"%d" % number)))
note("status", M.status("Work", "(MESSAGES UIDNEXT UNSEEN)"))
note("select", M.select("Work"))
seen["permanentflags"] = text(M.response("PERMANENTFLAGS")[1])
note("search", M.search(None, "UNSEEN", "SUBJECT", '"imaplib"'))
note("search charset", M.search("UTF-8", "NOT", "KEYWORD", "$Label1"))
note("fetch", M.fetch("1:2", "(UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])"))
note("partial", M.fetch("1", "(BODY.PEEK[TEXT]<0.6>)"))
note("store", M.store("2:3", "+FLAGS", "(\\Deleted)"))
note("uid copy", M.uid("COPY", "1:2", "Trash"))
note("copy missing", M.copy("1", "Missing"))
note("expunge", M.expunge())
note("uid search", M.uid("SEARCH", None, "ALL"))
note("noop", M.noop())
note("check", M.check())
note("getquotaroot", M.getquotaroot("INBOX"))
note("rename", M.rename("Work", "Done"))
note("close", M.close())
note("unselected", M.status("Done", "(MESSAGES)"))
note("enable", M.enable("UTF8=ACCEPT"))
note("utf8 create", M.create('"Grüße"'))
note("utf8 append", M.append('"Grüße"', None, when, "Subject: Grüße\r\n\r\nÜ\r\n".encode()))
note("utf8 list", M.list('""', '"Gr*"'))
note("delete", M.delete("Done"))
note("logout", M.logout())

context = ssl._create_unverified_context()
with imaplib.IMAP4_SSL("127.0.0.1", tls_port, ssl_context=context, timeout=20) as T:
    note("tls authenticate", T.authenticate("PLAIN", lambda _: b"\0" + user.encode() + b"\0" + password.encode()))
    note("tls examine", T.select("Trash", readonly=True))
    note("tls fetch", T.fetch("1", "(BODY[])"))
print(json.dumps(seen))
