/** Scripts of Dovecot's imaptest and of Apache James, step by step against the server. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { expected, mboxMessages, readCorpus, withCrlf } from './support/corpus.ts';
import { readFetch } from './support/fetch-response.ts';
import { ImapScript } from './support/imap-script.ts';
import { matches, type Variables, withVariables } from './support/imaptest-step.ts';
import { startServer } from './support/server.ts';
import { needsCorpus } from './support/skip.ts';

const USER = 'ada@example.test';
const PASSWORD = 'correct horse';

/** Scripts that need an extension which is not offered yet. When it is, the script must leave this list. */
const NOT_YET: ReadonlyMap<string, string> = new Map([
  ['search-context-update', 'CONTEXT=SEARCH'],
  ['search-context-update2', 'CONTEXT=SEARCH'],
  ['search-context-update3', 'CONTEXT=SEARCH'],
]);
/** Steps where we differ, and why. Key: script, then command. */
const ACCEPTED: ReadonlyMap<string, string> = new Map();

interface Script {
  readonly origin: string;
  readonly mailbox: string;
  readonly header: readonly string[];
  readonly steps: readonly { readonly command: string; readonly result: string; readonly expect: readonly string[] }[];
}
interface JamesScript {
  readonly origin: string;
  readonly messages: readonly string[];
  readonly steps: readonly {
    readonly command: string;
    readonly append?: number;
    readonly expect_regex?: readonly string[];
    readonly expect_literal?: readonly string[];
  }[];
}

const lastWord = (text: string): string => text.split(' ').at(-1) ?? text;

test('scripts of other servers', async (t) => {
  if (!needsCorpus(t)) return;
  const server = await startServer(t, { accounts: { [USER]: PASSWORD } });
  const login = () => ImapScript.login(t, server.port('imap'), USER, PASSWORD);
  const offered = new Set((await (await login()).command('CAPABILITY')).untagged.join(' ').split(' '));
  const left: string[] = [];
  const isLeftOut = (name: string): boolean => {
    const capability = NOT_YET.get(name);
    if (capability === undefined) return false;
    assert.ok(!offered.has(capability), `${capability} is offered now: take ${name} off the list`);
    left.push(`${name} (${capability})`);
    return true;
  };

  let steps = 0;
  for (const script of expected<Script[]>('imaptest-steps.json')) {
    const name = lastWord(script.origin);
    if (isLeftOut(name)) continue;
    await t.test(`imaptest ${name}`, async () => {
      const imap = await login();
      steps += await runImaptest(imap, name, script);
      imap.close();
    });
  }
  for (const script of expected<JamesScript[]>('james-imap-steps.json')) {
    const name = lastWord(script.origin);
    if (name === 'FetchPartial') continue; // it fetches messages 2 to 5, but its APPENDs make only two
    await t.test(`James ${name}`, async () => {
      const imap = await login();
      steps += await runJames(imap, script);
      imap.close();
    });
  }
  console.error(`scripts: ${steps} steps, left out ${left.length}: ${left.join(', ')}; accepted differences: ${ACCEPTED.size}`);
  assert.equal(left.length, NOT_YET.size);
});

async function runImaptest(imap: ImapScript, name: string, { mailbox: file, header, steps }: Script): Promise<number> {
  const mailbox = `imaptest-${name}`;
  const variables: Variables = new Map([['mailbox', mailbox]]);
  const wanted = header.find((line) => line.startsWith('messages: '))?.slice('messages: '.length) ?? '0';
  const messages = mboxMessages(file).map(({ raw, internalDate }) => ({
    octets: withCrlf(raw),
    options: internalDate === undefined ? '' : `"${internalDate}"`,
  }));
  const loaded = wanted === 'all' ? messages.length : Number(wanted);
  assert.match((await imap.command(`CREATE ${mailbox}`)).done, /^OK /);
  for (const { octets, options } of messages.slice(0, loaded)) assert.match(await imap.append(mailbox, octets, options), /^OK /);
  let appended = loaded;
  assert.match((await imap.command(`SELECT ${mailbox}`)).done, /^OK /);
  for (const { command, result, expect } of steps) {
    const sent = withVariables(command, variables);
    if (sent === 'append') {
      const message = messages[appended++];
      assert(message !== undefined, `${name}: no message left to append`);
      assert.match(await imap.append(mailbox, message.octets, message.options), /^OK /);
      continue;
    }
    variables.set('tag', imap.nextTag);
    const { untagged, done } = await imap.command(sent);
    assert.equal(done.split(' ', 1)[0]?.toLowerCase(), result, `${sent}: ${done}`);
    const unread = [...untagged];
    for (const line of expect) {
      const step = `${name}: ${sent}: ${line}\n${untagged.join('\n')}`;
      if (line.startsWith('!')) {
        assert.ok(!unread.some((response) => matches(`*${line.slice(1)}`, response, new Map(variables))), `unwanted ${step}`);
        continue;
      }
      const found = unread.findIndex((response) => matches(line, response, variables));
      if (ACCEPTED.has(`${name} ${command}`)) assert.equal(found, -1, `is equal now, take it off the list: ${step}`);
      else assert.notEqual(found, -1, `missing ${step}`);
      if (found !== -1) unread.splice(found, 1);
    }
  }
  return steps.length;
}

/** James's own habits are left aside: its tags and texts, FLAGS that come with other items, the order of STATUS items, more spaces than the grammar has. */
async function runJames(imap: ImapScript, { messages, steps }: JamesScript): Promise<number> {
  let selected = '';
  let mailbox = '';
  for (const { command, append, expect_regex: regex, expect_literal: literal } of steps) {
    const words = command.replaceAll(/ +/g, ' ').replaceAll('( ', '(').replaceAll(' )', ')').split(' ');
    const [verb = '', named = ''] = words;
    if (verb === 'APPEND' || verb === 'STATUS') {
      if (named !== 'notfound' && named !== mailbox) {
        mailbox = named;
        assert.match((await imap.command(`CREATE ${mailbox}`)).done, /^OK /);
      }
    } else if (selected !== mailbox) {
      selected = mailbox;
      assert.match((await imap.command(`SELECT ${mailbox}`)).done, /^OK /);
    }
    if (append !== undefined) {
      const message = withCrlf(readCorpus(messages[append - 1] ?? ''));
      assert.match(await imap.append(mailbox, message), /^OK /);
      continue;
    }
    const { untagged, done } = await imap.command(words.join(' '));
    const wanted = literal ?? regex ?? [];
    assert.equal(done.split(' ', 1)[0], wanted.at(-1)?.split(' ')[1], `${command}: ${done}`);
    if (verb === 'STATUS' && wanted.length > 1) {
      const items = statusItems(untagged.find((line) => line.startsWith('* STATUS ')) ?? '');
      for (const [item, value] of statusItems((wanted[0] ?? '').replaceAll('\\', ''))) {
        const actual = items.get(item) ?? '';
        if (literal === undefined) assert.match(actual, new RegExp(`^${value.replace('d+', '\\d+')}$`), `${command}: ${item}`);
        else assert.equal(actual, value, `${command}: ${item}`);
      }
    } else if (verb === 'FETCH') compareFetch(untagged, wanted.slice(0, -1).join('\r\n'), command);
    else if (verb === 'STORE') assert.equal(untagged.filter((line) => line.includes('\\Deleted')).length, wanted.length - 1, command);
  }
  return steps.length;
}

function compareFetch(untagged: readonly string[], wanted: string, command: string): void {
  const mine = untagged.map(readFetch).find(({ items }) => [...items.keys()].some((item) => item.startsWith('BODY[')));
  const theirs = readFetch(wanted);
  for (const [item, value] of theirs.items) {
    if (item !== 'FLAGS') assert.deepEqual(mine?.items.get(item), value, `${command}: ${item}`);
  }
}

/** `NAME value` pairs of a STATUS response. */
function statusItems(line: string): Map<string, string> {
  const list = /\((.*)\)$/.exec(line)?.[1] ?? '';
  return new Map([...list.matchAll(/([A-Z-]+) (\([^)]*\)|[^ ]+)/g)].map(([, name = '', value = '']) => [name, value]));
}
