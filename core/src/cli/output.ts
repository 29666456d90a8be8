import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { ReadStream } from 'node:tty';

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

/**
 * A password: the first line of standard input. Somebody at a keyboard is asked for it, and sees nothing of what is typed; `new`: asked twice.
 * @throws UsageError when there is none, or the two differ
 */
export async function passwordFromStdin(
  terminal: Terminal,
  { kind }: { readonly kind: 'new' | 'known' } = { kind: 'new' },
): Promise<Buffer> {
  const { stdin, stderr } = terminal;
  if (stdin instanceof ReadStream) {
    const password = await hiddenLine(stdin, stderr, 'Password: ');
    if (kind === 'new' && (await hiddenLine(stdin, stderr, 'Once more: ')) !== password) throw new UsageError('the two passwords differ');
    return Buffer.from(password);
  }
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

/** A line from the keyboard, without echo. The question goes to standard error: standard output may be a file. */
function hiddenLine(input: ReadStream, stderr: Terminal['stderr'], question: string): Promise<string> {
  const nowhere = new Writable({ write: (_piece, _encoding, done) => done() });
  const lines = createInterface({ input, output: nowhere, terminal: true, historySize: 0 }); // raw mode, and its own editing of the line
  stderr.write(question);
  return new Promise((resolve, reject) => {
    // Ctrl-C and Ctrl-D close it without a line.
    lines.once('close', () => {
      stderr.write('\n');
      reject(new UsageError('no password given'));
    });
    lines.once('line', (line) => {
      if (line !== '') resolve(line);
      lines.close();
    });
  });
}
