/** Bulk accounts: CSV as in RFC 4180, first line names the columns. Errors name file and line. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { NewAccount, ProtocolName } from '../mail/services.ts';

const COLUMNS = ['username', 'password', 'passwordHash', 'addresses', 'quotaOctets', 'displayName', 'allow'] as const;
type Column = (typeof COLUMNS)[number];
const PROTOCOLS: readonly string[] = ['imap', 'submission', 'http'];
/** Octets of one record; beyond it a quote was not closed. */
const MAX_RECORD = 256 * 1024;

export class CsvError extends Error {
  override name = 'CsvError';
}

/**
 * Reads all of it and makes nothing, so that a mistake in the last line shows before the first account is made.
 * @throws CsvError
 */
export async function checkAccounts(file: string): Promise<void> {
  const info = await stat(file).catch((error: unknown) => {
    throw new CsvError(`${file}: cannot be read`, { cause: error });
  });
  if (!info.isFile()) return; // a pipe can be read once only
  for await (const _account of readAccounts(file));
}

/** @throws CsvError */
export async function* readAccounts(file: string): AsyncGenerator<NewAccount> {
  let columns: readonly Column[] | undefined;
  for await (const { line, fields } of records(file)) {
    if (columns === undefined) columns = fields.map((name) => columnOf(name.trim(), `${file}:${line}`));
    else yield accountOf(columns, fields, `${file}:${line}`);
  }
  if (columns === undefined) throw new CsvError(`${file}: empty; the first line names the columns: ${COLUMNS.join(', ')}`);
  if (!columns.includes('username')) throw new CsvError(`${file}:1: no column "username"`);
}

function columnOf(name: string, where: string): Column {
  const column = COLUMNS.find((known) => known.toLowerCase() === name.toLowerCase().replaceAll(/[_ -]/g, ''));
  if (column === undefined) throw new CsvError(`${where}: unknown column "${name}"; known are ${COLUMNS.join(', ')}`);
  return column;
}

function accountOf(columns: readonly Column[], fields: readonly string[], where: string): NewAccount {
  if (fields.length !== columns.length) throw new CsvError(`${where}: ${fields.length} fields, but ${columns.length} columns`);
  const row = new Map(columns.map((column, i) => [column, (fields[i] ?? '').trim()] as const));
  const text = (column: Column): string | undefined => row.get(column) || undefined;
  const username = text('username');
  if (username === undefined) throw new CsvError(`${where}: no username`);
  const password = text('password');
  const passwordHash = text('passwordHash');
  if (password !== undefined && passwordHash !== undefined) throw new CsvError(`${where}: password and passwordHash: only one of them`);
  const quota = text('quotaOctets');
  if (quota !== undefined && !/^\d{1,15}$/.test(quota)) throw new CsvError(`${where}: quotaOctets "${quota}" is not a number of octets`);
  const displayName = text('displayName');
  const allow = list(text('allow'));
  const unknown = allow.find((protocol) => !PROTOCOLS.includes(protocol));
  if (unknown !== undefined) throw new CsvError(`${where}: allow "${unknown}" is none of ${PROTOCOLS.join(', ')}`);
  return {
    username,
    addresses: list(text('addresses')),
    ...(password === undefined ? {} : { password: Buffer.from(password, 'utf8') }),
    ...(passwordHash === undefined ? {} : { passwordHash }),
    ...(quota === undefined ? {} : { quotaOctets: Number(quota) }),
    ...(displayName === undefined ? {} : { displayName }),
    ...(allow.length === 0 ? {} : { allow: allow as ProtocolName[] }),
  };
}

/** Several values of one field, parted by spaces or semicolons. */
function list(text: string | undefined): string[] {
  return text === undefined ? [] : text.split(/[;\s]+/).filter((item) => item !== '');
}

async function* records(file: string): AsyncGenerator<{ readonly line: number; readonly fields: string[] }> {
  let fields: string[] = [];
  let field = '';
  let state: 'start' | 'plain' | 'quoted' | 'quote' = 'start';
  let line = 1;
  let startedAt = 1;
  let size = 0;
  for await (const chunk of createReadStream(file, 'utf8')) {
    for (const char of chunk as string) {
      size += 1;
      if (size > MAX_RECORD) throw new CsvError(`${file}:${startedAt}: record too long, is a quote missing?`);
      if (state === 'quoted') {
        if (char === '"') state = 'quote';
        else field += char;
        if (char === '\n') line += 1;
        continue;
      }
      if (state === 'quote' && char === '"') {
        field += '"';
        state = 'quoted';
      } else if (state === 'start' && char === '"') state = 'quoted';
      else if (char === ',') {
        fields.push(field);
        field = '';
        state = 'start';
      } else if (char === '\n') {
        if (fields.length > 0 || field.trim() !== '') yield { line: startedAt, fields: [...fields, field] };
        fields = [];
        field = '';
        state = 'start';
        line += 1;
        startedAt = line;
        size = 0;
      } else if (char !== '\r' && char !== '\uFEFF') {
        field += char;
        state = 'plain';
      }
    }
  }
  if (state === 'quoted') throw new CsvError(`${file}:${startedAt}: a quote is not closed`);
  if (fields.length > 0 || field.trim() !== '') yield { line: startedAt, fields: [...fields, field] };
}
