/** Whether an address is in a list of addresses and patterns, without regard to case. `*` stands for any characters, also none. */
export function addressMatcher(entries: readonly string[]): (address: string) => boolean {
  const exact = new Set<string>();
  const patterns: (readonly string[])[] = [];
  for (const entry of entries.map(fold)) {
    if (entry.includes('*')) patterns.push(entry.split('*'));
    else exact.add(entry);
  }
  return (address) => {
    const folded = fold(address);
    return exact.has(folded) || patterns.some((pieces) => matches(folded, pieces));
  };
}

/** Each piece is taken at its first place, which is enough for `*`: linear, where a regular expression made of input might not be. */
function matches(address: string, pieces: readonly string[]): boolean {
  const [first = '', ...rest] = pieces;
  const last = rest.pop() ?? '';
  if (address.length < first.length + last.length || !address.startsWith(first) || !address.endsWith(last)) return false;
  const end = address.length - last.length;
  let at = first.length;
  for (const piece of rest) {
    const found = address.indexOf(piece, at);
    if (found < 0 || found + piece.length > end) return false;
    at = found + piece.length;
  }
  return true;
}
function fold(address: string): string {
  return address.normalize('NFC').toLowerCase();
}
