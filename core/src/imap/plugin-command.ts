/** Commands that plugins add (`imap.command`): found by name, states checked like our own, arguments read as plain values. */
import type { ImapValue } from '@pochard/plugin-sdk';
import { asMailError } from '../mail/hook-errors.ts';
import { mailboxRef } from '../mail/sdk-values.ts';
import type { DeclaredImapCommand } from '../plugins/hook-calls.ts';
import type { Command, CommandContext } from './command.ts';
import { CLOSE, type Cursor, OPEN, type Reader } from './grammar/cursor.ts';
import { astring } from './grammar/strings.ts';
import { ImapSyntaxError } from './grammar/syntax-error.ts';
import type { ParseContext } from './grammar/syntax-tree.ts';
import { textString } from './grammar/write.ts';
import type { ImapSession } from './session.ts';

/** Values of one command, lists included. */
const MAX_VALUES = 1000;
/** A name as `untagged` may begin a line with. */
const RESPONSE_NAME = /^[A-Z][A-Z0-9.-]{0,63}$/;

function value(cursor: Cursor, count: { values: number }): ImapValue {
  count.values += 1;
  if (count.values > MAX_VALUES) cursor.fail('Too many arguments');
  if (!cursor.take(OPEN)) return astring(cursor);
  cursor.enter();
  const items: ImapValue[] = [];
  cursor.skipSpaces();
  while (!cursor.take(CLOSE)) {
    items.push(value(cursor, count));
    if (!cursor.takeSeparator() && cursor.peek() !== CLOSE) cursor.fail('Closing parenthesis expected');
  }
  cursor.leave();
  return items;
}

const values: Reader<readonly ImapValue[]> = (cursor) => {
  const found: ImapValue[] = [];
  const count = { values: 0 };
  while (cursor.takeSeparator()) found.push(value(cursor, count));
  cursor.end();
  return found;
};

/** What the plugin's reader makes of the values; what does not fit is BAD. */
function argsOf(declared: DeclaredImapCommand): Reader<unknown> {
  return (cursor) => {
    const given = values(cursor);
    try {
      const read = declared.args.read(given, 0);
      if (read.next < given.length) throw new SyntaxError('too many arguments');
      return read.value;
    } catch (error) {
      if (error instanceof SyntaxError) throw new ImapSyntaxError('Wrong arguments', cursor.offset);
      throw error;
    }
  };
}

function written(item: ImapValue, names: ParseContext): string {
  if (typeof item === 'number') return Number.isSafeInteger(item) && item >= 0 ? String(item) : 'NIL';
  if (typeof item === 'string') return textString(item.replaceAll('\0', '\ufffd'), names);
  return `(${item.map((inner) => written(inner, names)).join(' ')})`;
}

async function run(declared: DeclaredImapCommand, { session, respond }: CommandContext, args: unknown): Promise<undefined> {
  const { login, selected } = session;
  const actor = login?.actor ?? session.env.actor;
  if (login === undefined) throw new ImapSyntaxError('Log in first', 0);
  try {
    await declared.handle(args, {
      actor,
      account: login.account,
      session: login.session,
      signal: session.signal,
      selected: selected === undefined ? undefined : mailboxRef(selected.access.mail.account, selected.info),
      async untagged(name, ...items) {
        if (!RESPONSE_NAME.test(name)) throw new SyntaxError('not a response name');
        respond.untagged([name, ...items.map((item) => written(item, session.names))].join(' '));
        if (respond.isFull) await respond.drained();
      },
    });
  } catch (error) {
    throw asMailError(error);
  }
}

/** Undefined: no plugin offers the command to this session. */
export function findPluginCommand(session: ImapSession, name: string): Command | undefined {
  const { hooks, actor } = session.env;
  for (const declared of hooks.declared('imap.command')) {
    if (declared.name !== name) continue;
    if (!declared.isOffered({ actor: session.login?.actor ?? actor, session: session.sdkSession, account: session.account })) continue;
    return {
      name,
      states: declared.states,
      mayExpunge: true,
      args: argsOf(declared),
      handle: (context, args) => run(declared, context, args),
    };
  }
  return undefined;
}
