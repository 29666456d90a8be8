/** Finds out what a path holds: an .eml file, a folder of them, an mbox file, or a Maildir (with Maildir++ or nested folders). */
import { open, readdir, readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { readMbox } from './mbox.ts';
import { type FoundMessage, ImportError, type ImportSource } from './source.ts';

interface FoundFile {
  readonly path: string;
  readonly kind: 'message' | 'mbox' | 'maildir';
  readonly mailbox: string;
  readonly octets: number;
  readonly modifiedAt: number;
}
export interface ImportOptions {
  /** Into which mailbox; below it, for a Maildir's folders. */
  readonly mailbox: string;
  readonly maxOctets: number;
}

const MAILDIR_FLAGS: Readonly<Record<string, string>> = { D: '\\Draft', F: '\\Flagged', R: '\\Answered', S: '\\Seen', T: '\\Deleted' };

/** @throws ImportError naming the path */
export async function findMessages(path: string, options: ImportOptions): Promise<ImportSource> {
  const files: FoundFile[] = [];
  for await (const file of walk(path, options.mailbox)) files.push(file);
  if (files.length === 0 && !(await isEmptyFile(path)))
    throw new ImportError(`${path}: no messages found (looked for .eml, mbox and Maildir)`);
  return {
    totalOctets: files.reduce((sum, { octets }) => sum + octets, 0),
    async *messages() {
      for (const file of files) yield* read(file, options.maxOctets);
    },
  };
}

async function* walk(path: string, mailbox: string): AsyncGenerator<FoundFile> {
  const info = await stat(path).catch((error: unknown) => {
    throw new ImportError(`${path}: cannot be read`, { cause: error });
  });
  if (info.isFile()) {
    if (info.size === 0) return; // a mail spool without mail
    const kind = await kindOf(path);
    if (kind === 'other') throw new ImportError(`${path}: neither a message nor an mbox file, its first line is no header field`);
    yield { path, kind, mailbox, octets: info.size, modifiedAt: Math.floor(info.mtimeMs / 1000) };
    return;
  }
  const names = (await readdir(path)).sort();
  if (names.includes('cur') && names.includes('new')) {
    yield* walkMaildir(path, mailbox, names);
    return;
  }
  for (const name of names) {
    if (name.startsWith('.')) continue;
    const inner = join(path, name);
    const isFolder = (await stat(inner)).isDirectory();
    if (!isFolder && !/\.(eml|mbox|mbx|msg)$/i.test(name) && (await kindOf(inner)) !== 'mbox') continue;
    yield* walk(inner, isFolder || /\.(mbox|mbx)$/i.test(name) ? below(mailbox, name.replace(/\.(mbox|mbx)$/i, '')) : mailbox);
  }
}

async function* walkMaildir(path: string, mailbox: string, names: readonly string[]): AsyncGenerator<FoundFile> {
  for (const folder of ['cur', 'new']) {
    for (const name of (await readdir(join(path, folder))).sort()) {
      if (name.startsWith('.')) continue;
      const file = join(path, folder, name);
      const info = await stat(file);
      if (info.isFile()) yield { path: file, kind: 'maildir', mailbox, octets: info.size, modifiedAt: Math.floor(info.mtimeMs / 1000) };
    }
  }
  for (const name of names) {
    if (['cur', 'new', 'tmp', '.', '..'].includes(name)) continue;
    const inner = join(path, name);
    const names = (await stat(inner)).isDirectory() ? await readdir(inner) : [];
    if (!names.includes('cur')) continue;
    // Maildir++ writes `.Parent.Child`; other tools nest folders.
    const levels = name.startsWith('.') ? name.slice(1).split('.') : [name];
    yield* walk(inner, levels.reduce(below, mailbox === 'INBOX' ? '' : mailbox));
  }
}

async function isEmptyFile(path: string): Promise<boolean> {
  const info = await stat(path);
  return info.isFile() && info.size === 0;
}

function below(parent: string, name: string): string {
  return parent === '' ? name : `${parent}/${name}`;
}

/** By its name or its first line: a separator of mbox files, a header field (RFC 5322 §2.2). */
async function kindOf(path: string): Promise<'message' | 'mbox' | 'other'> {
  if (/\.eml$/i.test(path)) return 'message';
  await using file = await open(path);
  const { buffer, bytesRead } = await file.read(Buffer.alloc(1024), 0, 1024, 0);
  const begin = buffer.toString('latin1', 0, bytesRead);
  if (begin.startsWith('From ')) return 'mbox';
  return /\.msg$/i.test(path) || /^[!-9;-~]+[ \t]*:/.test(begin) ? 'message' : 'other';
}

async function* read(file: FoundFile, maxOctets: number): AsyncGenerator<FoundMessage> {
  const { path, mailbox, kind, octets, modifiedAt } = file;
  if (kind === 'mbox') {
    for await (const message of readMbox(path, maxOctets)) {
      const { number, date, flags } = message;
      yield { where: `${path}, message ${number}`, mailbox, flags, internalDate: date ?? modifiedAt, octets: message.octets };
    }
    return;
  }
  if (octets > maxOctets) throw new ImportError(`${path}: larger than ${maxOctets} octets`);
  const flags =
    kind === 'maildir' ? [...(/:2,([A-Za-z]*)$/.exec(basename(path))?.[1] ?? '')].flatMap((mark) => MAILDIR_FLAGS[mark] ?? []) : [];
  yield { where: path, mailbox, flags, internalDate: modifiedAt, octets: await readFile(path) };
}
