/** Whether what a tap answers has its hook's shape. Plain data by schema, messages and queries by hand. */
import { type Delivery, drop, type Message, type SearchQuery, type Static, type TSchema, Type } from '@pochard/plugin-sdk';
import { Ajv } from 'ajv';
import type { AnswerOf, CollectName, DecideName, TransformName } from './hook-calls.ts';

type AnsweringName = DecideName | CollectName | TransformName;
/** `about` is the question, or the value before. */
export type AnswerCheck = (answer: unknown, about: unknown) => boolean;

// One line, as long as an address may be (RFC 5321 §4.5.3.1), in octets or not.
const line = (maxLength: number) => Type.String({ minLength: 1, maxLength, pattern: '^[^\\u0000-\\u001f\\u007f]*$' });
const optional = Type.Optional;
const count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const protocol = Type.Union([Type.Literal('imap'), Type.Literal('submission'), Type.Literal('http')]);
const specialUse = Type.Union([
  Type.Literal('\\All'),
  Type.Literal('\\Archive'),
  Type.Literal('\\Drafts'),
  Type.Literal('\\Flagged'),
  Type.Literal('\\Important'),
  Type.Literal('\\Junk'),
  Type.Literal('\\Sent'),
  Type.Literal('\\Trash'),
]);
const flags = Type.Array(line(200), { maxItems: 200 });
const mailboxName = Type.Object({ name: line(1000) });
const limit = Type.Union([count, Type.Literal('unlimited')]);
const seed = Type.Object({
  username: line(320),
  displayName: optional(Type.String({ maxLength: 1000 })),
  addresses: optional(Type.Array(line(320), { maxItems: 10_000 })),
  quotaOctets: optional(limit),
  allow: optional(Type.Array(protocol)),
});

/** By name, and the compiler compares each with the answer's type below. */
const plainAnswers = {
  'auth.normalize': line(320),
  'auth.verify': Type.Union([
    Type.Object({ result: Type.Literal('accept'), account: seed }),
    Type.Object({
      result: Type.Literal('reject'),
      reason: Type.Union([Type.Literal('credentials'), Type.Literal('disabled'), Type.Literal('policy')]),
    }),
  ]),
  'account.lookup': seed,
  'account.provision': seed,
  'account.mailboxes': Type.Array(Type.Object({ name: line(1000), specialUse: optional(specialUse) }), { maxItems: 1000 }),
  'rcpt.resolve': Type.Union([
    Type.Object({ result: Type.Literal('deliver'), account: seed }),
    Type.Object({ result: Type.Literal('alias'), to: Type.Array(line(320), { maxItems: 10_000 }) }),
    Type.Object({
      result: Type.Literal('reject'),
      reason: Type.Union([Type.Literal('unknown'), Type.Literal('disabled'), Type.Literal('policy')]),
    }),
  ]),
  'rcpt.expand': Type.Array(line(320), { maxItems: 10_000 }),
  'delivery.scan': Type.Array(
    Type.Object({
      source: line(200),
      about: Type.Union([Type.Literal('spam'), Type.Literal('malware'), Type.Literal('policy'), Type.Literal('authentication')]),
      action: Type.Union([Type.Literal('accept'), Type.Literal('junk'), Type.Literal('reject'), Type.Literal('defer')]),
      score: optional(Type.Number()),
      reason: optional(Type.String({ maxLength: 10_000 })),
    }),
    { maxItems: 1000 },
  ),
  'delivery.route': Type.Object({ mailbox: Type.Union([specialUse, mailboxName, Type.Literal('INBOX')]), flags }),
  'append.match': Type.Object({ sameWithinMs: Type.Number({ minimum: 0 }) }),
  'quota.limits': Type.Object({ octets: optional(limit), messages: optional(count), mailboxes: optional(count) }),
  'submission.identity': Type.Object({ allowed: Type.Boolean() }),
  'submission.sentCopy': Type.Object({
    file: Type.Union([Type.Object({ mailbox: Type.Union([specialUse, mailboxName]), flags }), Type.Literal('no')]),
    sameWithinMs: Type.Number({ minimum: 0 }),
  }),
  'submission.relay': Type.Object({
    host: line(255),
    port: Type.Integer({ minimum: 1, maximum: 65_535 }),
    tls: Type.Union([Type.Literal('implicit'), Type.Literal('starttls'), Type.Literal('opportunistic')]),
  }),
  'imap.capabilities': Type.Array(Type.String({ pattern: '^[!-~]{1,100}$' }), { maxItems: 200 }),
} as const satisfies { readonly [Name in AnsweringName]?: TSchema };

const otherAnswers = {
  'delivery.received': (answer, about) => isDeliveryOf(answer, about),
  'index.document': (answer) =>
    isObject(answer) && isMessage(answer.message) && isObject(answer.fields) && Object.values(answer.fields).every(isString),
  'search.rewrite': (answer) => isQuery(answer),
  'search.plan': (answer) =>
    isObject(answer) &&
    Array.isArray(answer.uids) &&
    answer.uids.every(isUid) &&
    typeof answer.exact === 'boolean' &&
    Number.isSafeInteger(answer.upTo),
  'submission.message': (answer) => isMessage(answer),
  // What happened cannot be changed, only what is told of it.
  'notify.event': (answer, about) => isObject(answer) && isObject(about) && answer.id === about.id && answer.type === about.type,
} as const satisfies { readonly [Name in Exclude<AnsweringName, keyof typeof plainAnswers>]: AnswerCheck };

/** Each schema's type must be that of the SDK's answer: what passes is what the core is promised. */
type Plain = { readonly [Name in keyof typeof plainAnswers]: Static<(typeof plainAnswers)[Name]> };
type Promised = {
  readonly [Name in keyof typeof plainAnswers]: Name extends CollectName ? readonly AnswerOf<Name>[] : AnswerOf<Name>;
};
type AssertAssignable<To, From extends To> = [To, From];
export type AnswersAreChecked = AssertAssignable<Loose<Promised>, Plain>;
/** Optional members as ajv sees them: absent or undefined. */
type Loose<T> = T extends readonly (infer Item)[]
  ? readonly Loose<Item>[]
  : T extends object
    ? { readonly [Key in keyof T]: Loose<T[Key]> | (undefined extends T[Key] ? undefined : never) }
    : T;

/** The hooks whose value may be dropped. */
export const droppable: ReadonlySet<string> = new Set<TransformName>(['index.document', 'notify.event']);

/** Compiles a hook's check when it is first tapped: a server without plugins compiles none. */
export class AnswerChecks {
  readonly #ajv = new Ajv({ strict: true, allErrors: false, allowUnionTypes: true });
  readonly #checks = new Map<string, AnswerCheck>();

  /** Undefined for kinds that answer nothing. */
  for(hook: string): AnswerCheck | undefined {
    const known = this.#checks.get(hook);
    if (known !== undefined) return known;
    const check = this.#make(hook);
    if (check !== undefined) this.#checks.set(hook, check);
    return check;
  }
  #make(hook: string): AnswerCheck | undefined {
    if (Object.hasOwn(otherAnswers, hook)) {
      const check: AnswerCheck = otherAnswers[hook as keyof typeof otherAnswers];
      return droppable.has(hook) ? (answer, about) => answer === drop || check(answer, about) : check;
    }
    if (!Object.hasOwn(plainAnswers, hook)) return undefined;
    const schema: TSchema = plainAnswers[hook as keyof typeof plainAnswers];
    const validate = this.#ajv.compile(schema);
    return (answer) => validate(answer);
  }
}

/** An object with anything in it. */
type Unchecked = {
  readonly [Member in
    | 'id'
    | 'type'
    | 'message'
    | 'fields'
    | 'uids'
    | 'exact'
    | 'upTo'
    | 'op'
    | 'of'
    | 'contains'
    | 'name'
    | 'flag'
    | 'in'
    | 'above'
    | 'below'
    | 'field'
    | 'from'
    | 'before'
    | 'atLeast'
    | 'is']?: unknown;
};
function isObject(value: unknown): value is Unchecked {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
function isString(value: unknown): value is string {
  return typeof value === 'string';
}
function isUid(value: unknown): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 0xffff_ffff;
}
/** Structurally: the core's own messages and those that a plugin wraps. */
export function isMessage(value: unknown): value is Message {
  if (typeof value !== 'object' || value === null) return false;
  const { sizeOctets, open, header, prepend, without, mapText } = value as Partial<Message>;
  return (
    typeof sizeOctets === 'number' &&
    Number.isSafeInteger(sizeOctets) &&
    sizeOctets >= 0 &&
    typeof open === 'function' &&
    typeof header === 'object' &&
    typeof prepend === 'function' &&
    typeof without === 'function' &&
    typeof mapText === 'function'
  );
}
/** A delivery keeps its identity, envelope and way in: recipients are the business of `rcpt.*`. */
function isDeliveryOf(answer: unknown, about: unknown): boolean {
  if (typeof answer !== 'object' || answer === null) return false;
  const before = about as Delivery;
  const after = answer as Partial<Delivery>;
  return (
    after.id === before.id &&
    after.origin === before.origin &&
    after.reversePath === before.reversePath &&
    isSameList(after.recipients, before.recipients) &&
    isMessage(after.message) &&
    after.sizeOctets === after.message.sizeOctets &&
    typeof after.with === 'function'
  );
}
function isSameList(one: readonly string[] | undefined, other: readonly string[]): boolean {
  return one === other || (Array.isArray(one) && one.length === other.length && one.every((item, index) => item === other[index]));
}

const queryLimits = { depth: 100, nodes: 10_000 }; // the parser's own are lower; this stops a plugin's runaway
function isQuery(value: unknown): value is SearchQuery {
  let left = queryLimits.nodes;
  const check = (node: unknown, depth: number): boolean => {
    if (!isObject(node) || depth > queryLimits.depth || (left -= 1) < 0) return false;
    switch (node.op) {
      case 'all':
        return true;
      case 'and':
      case 'or':
        return Array.isArray(node.of) && node.of.every((item) => check(item, depth + 1));
      case 'not':
      case 'fuzzy':
        return check(node.of, depth + 1);
      case 'text':
      case 'body':
      case 'subject':
      case 'from':
      case 'to':
      case 'cc':
      case 'bcc':
        return isString(node.contains);
      case 'header':
        return isString(node.name) && isString(node.contains);
      case 'flag':
        return isString(node.flag);
      case 'uid':
        return Array.isArray(node.in) && node.in.every((range) => Array.isArray(range) && range.length === 2 && range.every(isUid));
      case 'size':
        return isOptional(node.above, 'number') && isOptional(node.below, 'number');
      case 'date':
        return (
          (node.field === 'internal' || node.field === 'sent' || node.field === 'saved') &&
          isOptionalDate(node.from) &&
          isOptionalDate(node.before)
        );
      case 'modSeq':
        return Number.isSafeInteger(node.atLeast);
      case 'emailId':
      case 'threadId':
        return isString(node.is);
      default:
        return false;
    }
  };
  return check(value, 0);
}
function isOptional(value: unknown, type: 'number'): boolean {
  return value === undefined || typeof value === type;
}
function isOptionalDate(value: unknown): boolean {
  return value === undefined || (value instanceof Date && !Number.isNaN(value.getTime()));
}
