import { Type } from 'typebox';

/** One limit: `reason` is what breaks without it, `unit` is what the number counts. */
interface Limit {
  readonly default: number;
  readonly minimum: number;
  readonly maximum: number;
  readonly unit: 'octets' | 'ms' | 'count' | 'levels';
  readonly reason: string;
}

const KIB = 1024;
const MIB = 1024 * KIB;
const SECOND = 1000;
const MINUTE = 60 * SECOND;

function octets(value: number, reason: string, minimum = 64, maximum = 1024 * MIB): Limit {
  return { default: value, minimum, maximum, unit: 'octets', reason };
}
function count(value: number, reason: string, minimum = 1, maximum = 10_000_000): Limit {
  return { default: value, minimum, maximum, unit: 'count', reason };
}
function levels(value: number, reason: string, maximum = 1000): Limit {
  return { default: value, minimum: 1, maximum, unit: 'levels', reason };
}
/** At most 2^31 - 1 ms, beyond which Node's timers fire at once. */
function duration(value: number, reason: string, minimum = 10): Limit {
  return { default: value, minimum, maximum: 2_147_483_647, unit: 'ms', reason };
}

/**
 * Every limit on what the network may cost, each named once: configuration key, default, bounds, unit and reason.
 * The schema, the defaults and the types below are derived from this table.
 */
export const limitTable = {
  imapLineBeforeLoginOctets: octets(
    8 * KIB,
    'a stranger may pin no more than this of a command line; beyond it BAD and close',
    1 * KIB,
    MIB,
  ),
  imapLineOctets: octets(64 * KIB, 'a command line after login; beyond it BAD, the session lives', 8 * KIB, 16 * MIB),
  imapLiteralBeforeLoginOctets: octets(4 * KIB, 'a literal before login holds a name or a password, never mail', 64, MIB),
  imapLiteralOctets: octets(64 * KIB, 'a literal other than a message is a name or a search key', 1 * KIB, 16 * MIB),
  imapLiteralsPerCommand: count(256, 'each literal costs an object and a continuation', 1, 100_000),
  imapLiteralsTotalOctets: octets(1 * MIB, 'all literals of a command together, messages of APPEND apart', 4 * KIB, 256 * MIB),
  imapNonSyncLiteralOctets: octets(4096, 'LITERAL- (RFC 7888 §5): larger ones must wait for the continuation', 0, 4096),
  imapNestingLevels: levels(50, 'parentheses and search keys are read recursively'),
  imapBadCommandsBeforeLogin: count(3, 'a scanner speaks another protocol; then BYE', 1, 1000),
  imapBadCommands: count(20, 'a broken client after login; then BYE', 1, 100_000),
  imapConnectionsPerUserAndAddress: count(20, 'one client that leaks connections must not use up the server', 1, 100_000),
  imapMessagesPerCommand: count(
    0,
    'messages that FETCH, STORE, COPY, MOVE, UID EXPUNGE or APPEND work on at once, offered as MESSAGELIMIT (RFC 9738, which asks for 1000 at least); 0: as many as there are',
    0,
  ),
  imapSavedMessages: count(0, 'messages that SEARCH with SAVE keeps for `$`, offered as SAVELIMIT (RFC 9738); 0: as many as it finds', 0),
  messageOctets: octets(
    50 * MIB,
    'the largest message taken by any way; offered as SIZE (RFC 1870) and APPENDLIMIT (RFC 7889)',
    64 * KIB,
    2047 * MIB,
  ),
  mimeLevels: levels(100, 'multiparts within multiparts; deeper ones are an opaque leaf'),
  mimeParts: count(1000, 'parts of one message; more of them are one opaque leaf', 1, 100_000),
  mimeHeaderOctets: octets(256 * KIB, 'one header field as far as it is parsed; the rest is kept, not parsed', 1 * KIB, 64 * MIB),
  mimeHeadersOctets: octets(1 * MIB, 'a header block as far as it is parsed; the rest is kept, not parsed', 1 * KIB, 256 * MIB),
  mimeParameters: count(128, 'parameters of one header field (RFC 2231 continuations)', 1, 10_000),
  smtpCommandLineOctets: octets(1 * KIB, 'RFC 5321 §4.5.3.1.4 asks for 512 and extensions add to it', 512, 64 * KIB),
  smtpAuthLineOctets: octets(2 * KIB, 'the base64 line of AUTH (RFC 4954 §4)', 512, 64 * KIB),
  smtpDataLineOctets: octets(64 * KIB, 'a line of a message that is stored as it came; no buffer is larger', 1000, 16 * MIB),
  smtpRecipients: count(1000, 'recipients of a transaction; offered as LIMITS RCPTMAX (RFC 9422)', 100, 100_000),
  submissionRecipientsPerHour: count(1000, 'of one account, so that a stolen password cannot send for long'),
  loginTimeMs: duration(60 * SECOND, 'from accept to login in total, not for each octet, so a slow trickle ends too'),
  idleTimeMs: duration(30 * MINUTE, 'silence after login; RFC 9051 §5.4 wants at least 30 minutes'),
  smtpIdleTimeMs: duration(5 * MINUTE, 'silence in a mail transaction; RFC 5321 §4.5.3.2.7 wants at least 5 minutes'),
  blockedWriteTimeMs: duration(2 * MINUTE, 'a client that reads nothing while output waits'),
  queuedOutputOctets: octets(1 * MIB, 'output that one session may have waiting in memory', 64 * KIB, 256 * MIB),
  connectionsTotal: count(20_000, 'all listeners together; each connection costs a descriptor'),
  connectionsPerAddress: count(50, 'open at once from one IPv4 address or IPv6 /64'),
  connectionsPerAddressMinute: count(300, 'new ones in a minute from one IPv4 address or IPv6 /64'),
  loginFailuresPerSession: count(3, 'then the connection closes, so that guessing costs connections', 1, 100),
  loginFailuresPerAddressDay: count(50, 'from one IPv4 address or IPv6 /64; then logins are refused for the day'),
  loginDelayMaxMs: duration(15 * SECOND, 'the delays 1, 2, 4, 8, 15 s after failures, for the address and for the user, stop here', 0),
  loginDelayWindowMs: duration(15 * MINUTE, 'failures older than this no longer delay'),
  shutdownTimeMs: duration(30 * SECOND, 'sessions may finish for this long after SIGTERM, then they are cut'),
  httpBodyOctets: octets(1 * MIB, 'a request body of the HTTP API, messages apart', 1 * KIB, 256 * MIB),
  httpRequestsPerMinute: count(1000, 'of one signed-in caller'),
  httpAnonymousRequestsPerMinute: count(100, 'of one address without a token'),
} as const satisfies Record<string, Limit>;

export type LimitName = keyof typeof limitTable;
export type Limits = { readonly [Name in LimitName]: number };

function limitProperty(limit: Limit) {
  const { minimum, maximum, unit, reason } = limit;
  return Type.Integer({ default: limit.default, minimum, maximum, description: `${unit}: ${reason}` });
}
type LimitProperties = { [Name in LimitName]: ReturnType<typeof limitProperty> };

function limitProperties(): LimitProperties {
  const entries = Object.entries(limitTable).map(([name, limit]) => [name, limitProperty(limit)]);
  return Object.fromEntries(entries) as LimitProperties;
}

/** Schema of the section `limits:`. */
export const limitsSchema = Type.Object(limitProperties(), {
  additionalProperties: false,
  default: {},
  description: 'What the network may cost',
});

/** The limits as they are when nobody configures any; for tests and for components used alone. */
export const defaultLimits: Limits = Object.freeze(
  Object.fromEntries(Object.entries(limitTable).map(([name, limit]) => [name, limit.default])) as { [Name in LimitName]: number },
);
