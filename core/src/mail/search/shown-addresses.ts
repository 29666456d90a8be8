import { type Address, parseAddressList } from '../../mime/address.ts';
import { decodeHeaderText } from '../../mime/header-text.ts';
import { foldHeader } from './header-fold.ts';

/** Where an address as it is shown may not stand in its field as it is written: comments, quoting, white space within. */
const MAY_DIFFER = /[(\\]|"\s?@|\s[@.]|[@.]\s/;
/** Between addresses; no assigned character. */
const SEPARATOR = '\uffff';

/**
 * What FROM, TO, CC and BCC find beyond the text of the field: its addresses as ENVELOPE shows them (RFC 9051 §6.4.4), folded, where that is
 * not a part of the text anyway. `raw` is the value in latin1, `folded` the same decoded and folded.
 */
export function shownAddresses(raw: string, folded: string): string | undefined {
  if (!MAY_DIFFER.test(folded)) return undefined;
  const shown = parseAddressList(raw).map(foldedAddress);
  return shown.some((pieces) => pieces.some((piece) => !folded.includes(piece)))
    ? shown.map((pieces) => pieces.join(' ')).join(SEPARATOR)
    : undefined;
}

function foldedAddress({ name, mailbox, host }: Address): readonly string[] {
  const pieces: string[] = [];
  if (name !== undefined) pieces.push(foldHeader(decodeHeaderText(name)));
  // What a broken address lacks is shown by a name of ours, which nobody looks for.
  if (mailbox !== undefined && mailbox !== 'MISSING_MAILBOX' && host !== 'MISSING_DOMAIN')
    pieces.push(foldHeader(decodeHeaderText(host === undefined ? mailbox : `${mailbox}@${host}`)));
  return pieces;
}
