/** For tests: commands as the line reader delivers them, and readers applied to them. */
import {
  type AnnouncedLiteral,
  type ClientCommand,
  LIMITS_AFTER_LOGIN,
  LineReader,
  type LiteralDecision,
  type Refusal,
} from '../../net/line-reader.ts';
import { Cursor, type Reader } from './cursor.ts';
import { ImapSyntaxError } from './syntax-error.ts';
import type { ParseContext } from './syntax-tree.ts';

export const REV1: ParseContext = { utf8: false };
export const UTF8: ParseContext = { utf8: true };

/** The wire text of one command, literals included, without its last line end. Latin-1. */
export function commandOf(wire: string): ClientCommand {
  const commands: ClientCommand[] = [];
  const reader = new LineReader(
    {
      command: (command) => commands.push(command),
      line: () => undefined,
      literal: (_announced: AnnouncedLiteral): LiteralDecision => 'memory',
      continueLiteral: () => undefined,
      refused: ({ reason }: Refusal) => {
        throw new Error(reason);
      },
      readable: () => undefined,
    },
    { ...LIMITS_AFTER_LOGIN, nonSyncOctets: Number.POSITIVE_INFINITY },
  );
  reader.push(Buffer.from(`${wire}\r\n`, 'latin1'));
  const [command] = commands;
  if (command === undefined) throw new Error('The fixture is not a complete command');
  return command;
}

/** The value of a reader that takes the whole text. */
export function parse<T>(reader: Reader<T>, wire: string, context: ParseContext = REV1): T {
  const cursor = new Cursor(commandOf(wire), context);
  const value = reader(cursor);
  cursor.end();
  return value;
}

/** What is wrong with it: `message @ offset`, or undefined if nothing is. */
export function faultOf(reader: Reader<unknown>, wire: string, context: ParseContext = REV1): string | undefined {
  try {
    parse(reader, wire, context);
    return undefined;
  } catch (error) {
    if (error instanceof ImapSyntaxError) return `${error.message} @ ${error.offset}`;
    throw error;
  }
}
