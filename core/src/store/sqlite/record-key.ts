/** Keys lie as UTF-16BE: octet order is then code unit order, and lone surrogates survive. */
export function encodeRecordKey(key: string): Uint8Array {
  return Buffer.from(key, 'utf16le').swap16();
}
export function decodeRecordKey(octets: Uint8Array): string {
  return Buffer.from(octets).swap16().toString('utf16le');
}
/** The least octet string above all that start with `prefix`; undefined when there is none. */
export function afterPrefix(prefix: Uint8Array): Uint8Array | undefined {
  for (let at = prefix.length - 1; at >= 0; at--) {
    const octet = prefix[at];
    if (octet !== undefined && octet < 0xff) {
      const end = Uint8Array.from(prefix.subarray(0, at + 1));
      end[at] = octet + 1;
      return end;
    }
  }
  return undefined;
}
