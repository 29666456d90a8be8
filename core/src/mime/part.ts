/**
 * A MIME part. Offsets are octets of the original message; a body is `[bodyStart, bodyEnd)`, a header block `[headerStart, bodyStart)` and
 * includes the blank line. The line end before a delimiter belongs to the delimiter (RFC 2046 §5.1.1).
 */
export interface MimePart {
  readonly headerStart: number;
  readonly bodyStart: number;
  readonly bodyEnd: number;
  /** Line ends in the body of text and of what lies in embedded messages; 0 elsewhere, where nothing shows them. */
  readonly lines: number;
  /** Lower case; `text` when the message does not say. A leaf beyond the limits is `application/octet-stream`. */
  readonly type: string;
  readonly subtype: string;
  /** Content-Transfer-Encoding in lower case; `7bit` when absent. */
  readonly encoding: string;
  readonly charset: string | undefined;
  /** Decoded file name: Content-Disposition's filename, else Content-Type's name. */
  readonly name: string | undefined;
  /** Lower case. */
  readonly disposition: string | undefined;
  /** Parts of a multipart, in order. */
  readonly children: readonly MimePart[];
  /** The message in a message/rfc822 part: its header block starts where the body of this part does. */
  readonly message: MimePart | undefined;
}

/** Leaves and embedded messages in the order of their octets. Iterative, the tree's depth is bounded anyway. */
export function* walkParts(root: MimePart): Generator<MimePart> {
  const stack: MimePart[] = [root];
  for (let part = stack.pop(); part !== undefined; part = stack.pop()) {
    yield part;
    if (part.message !== undefined) stack.push(part.message);
    for (let at = part.children.length - 1; at >= 0; at--) {
      const child = part.children[at];
      if (child !== undefined) stack.push(child);
    }
  }
}
