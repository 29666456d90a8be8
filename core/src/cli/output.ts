/** Where commands read and write; passed in, so that tests can look. */
export interface Terminal {
  readonly stdin: AsyncIterable<Uint8Array> & { readonly isTTY?: boolean };
  readonly stdout: { readonly isTTY?: boolean; readonly columns?: number; write(text: string): unknown };
  readonly stderr: { readonly isTTY?: boolean; readonly columns?: number; write(text: string): unknown };
}

/** A wrong use of a command: shown without a stack, exit status 2. */
export class UsageError extends Error {
  override name = 'UsageError';
}

/** A password: the first line of standard input. */
export async function passwordFromStdin({ stdin }: Terminal): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of stdin) {
    pieces.push(piece);
    size += piece.length;
    if (size > 4096 || piece.includes(0x0a)) break;
  }
  const all = Buffer.concat(pieces);
  const end = all.indexOf(0x0a);
  const line = all.subarray(0, end === -1 ? all.length : all[end - 1] === 0x0d ? end - 1 : end);
  if (line.length === 0) throw new UsageError('no password on standard input');
  return line;
}
