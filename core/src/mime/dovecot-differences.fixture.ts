/** For the tests of this folder and of the whole server on the real-mail corpus. */

/**
 * Where we differ from Dovecot 2.3, and why. Key: file, then what.
 * Type, subtype and charset are case-insensitive (RFC 2045 §5.1) and the case of the source is kept; Dovecot does so too, except for a plain
 * us-ascii message, which it stores as a flag and writes in lower case.
 */
export const acceptedDifferences: ReadonlyMap<string, string> = new Map([
  ['messages/james-mpt/Status-1.eml bodystructure', 'RFC 2045 §5.1: case-insensitive, the case of the source is kept'],
  ['messages/james-mpt/Status-1.eml body', 'RFC 2045 §5.1: case-insensitive, the case of the source is kept'],
  [
    'messages/spamassassin/spam-utf16.eml 1',
    'RFC 2046 §5.1.1: the CRLF before a delimiter belongs to it. An inner part without a header ends at the delimiter of the outer multipart, and Dovecot counts that CRLF to the inner multipart',
  ],
  ['SEARCH CHARSET UTF-8 SUBJECT "лучше"', 'koi8_r is decoded as KOI8-R; Dovecot does not know the name'],
  ['SEARCH CHARSET UTF-8 BODY "лучше"', 'koi8_r is decoded as KOI8-R; Dovecot does not know the name'],
  ['SEARCH BODY "client"', 'RFC 9051 §6.4.4: the header of an embedded message is in the body of the message that holds it'],
  [
    'SEARCH SENTBEFORE 1-Jan-2002',
    'RFC 9051 §6.4.4 compares the Date header; a message without one is in 1970 for Dovecot and matches nothing here',
  ],
  [
    'SEARCH SINCE 20-Jan-2024 NOT FROM "@"',
    'RFC 9051 §6.4.4: a From field without a domain has no @; Dovecot searches the address as it completes it, with @MISSING_DOMAIN',
  ],
]);
