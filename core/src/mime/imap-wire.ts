/** Replaces NUL, which may not occur in any IMAP string (RFC 9051 §9, CHAR8): U+FFFD in UTF-8. */
const NUL_REPLACEMENT = '\u00ef\u00bf\u00bd';

/**
 * IMAP `string` of a latin1 string: quoted when every octet may be quoted, else a literal (RFC 9051 §4.3).
 * 8-bit octets need a literal until UTF8=ACCEPT.
 */
export function imapString(value: string): string {
  let special = false;
  for (let at = 0; at < value.length; at++) {
    const code = value.charCodeAt(at);
    if (code >= 0x80 || code === 0x0d || code === 0x0a || code === 0) return imapLiteral(value);
    if (code === 0x22 || code === 0x5c) special = true;
  }
  return special ? `"${value.replaceAll(/["\\]/g, '\\$&')}"` : `"${value}"`;
}

function imapLiteral(value: string): string {
  const clean = value.includes('\0') ? value.replaceAll('\0', NUL_REPLACEMENT) : value;
  return `{${clean.length}}\r\n${clean}`;
}

/** `nstring`: NIL for an absent value. Line ends of folds are removed, the white space after them stays (RFC 5322 §2.2.3). */
export function imapUnfolded(value: string | undefined): string {
  return value === undefined ? 'NIL' : imapString(unfold(value));
}

/** Removes CR and LF. */
export function unfold(value: string): string {
  return value.includes('\n') || value.includes('\r') ? value.replaceAll(/[\r\n]+/g, '') : value;
}

/** `nstring` of free text (Subject, display names): unfolded, each run of white space one space, none at either end. */
export function imapFreeText(value: string | undefined): string {
  if (value === undefined) return 'NIL';
  let clean = true;
  let space = true;
  for (let at = 0; at < value.length && clean; at++) {
    const code = value.charCodeAt(at);
    if (code === 0x20) {
      clean = !space;
      space = true;
    } else {
      clean = code > 0x20;
      space = false;
    }
  }
  if (clean && !(space && value !== '')) return imapString(value);
  return imapString(
    unfold(value)
      .replaceAll(/[\t ]+/g, ' ')
      .replaceAll(/^ | $/g, ''),
  );
}
