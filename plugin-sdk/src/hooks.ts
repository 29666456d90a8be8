/** The hooks, in the order in which a login, a message, a fetch meets them. */
import type { AccountCreation, AccountSeed, LookupQuestion, MailboxPlan } from './accounts.ts';
import type { CliCommand, HealthCheck } from './administration.ts';
import type { BlobDriver } from './blob-driver.ts';
import type { AccountCall, Call } from './calls.ts';
import type { Codec } from './codec.ts';
import type { Delivery, RouteCall, Routing, Verdict } from './delivery.ts';
import type { Collect, Decide, Declare, DeclareCommand, DeclareRoute, Follow, Gate, Observe, Transform } from './kinds.ts';
import type { CredentialChange, Login, LoginAttempt, LoginFailure, LoginVerdict, MechanismRequest, SessionEnd } from './login.ts';
import type {
  AppendRequest,
  CopyRequest,
  ExpungeRequest,
  FetchRequest,
  MailboxChange,
  MatchPolicy,
  MatchQuestion,
  QuotaLimits,
  QuotaQuestion,
  StoreRequest,
} from './mailbox-requests.ts';
import type { Message, MessageFor } from './message.ts';
import type { Drop } from './outcomes.ts';
import type { Permission, With } from './permissions.ts';
import type { PushCall, PushChannel, PushEvent } from './push.ts';
import type { ExpandCall, RcptAnswer, RcptQuestion, RcptRequest } from './recipients.ts';
import type { IndexDocument, SearchAnswer, SearchCall, SearchQuery, SearchQuestion } from './search.ts';
import type { SecretFor } from './secret.ts';
import type { IdentityAnswer, IdentityQuestion, Relay, RelayQuestion, SentCopy, Submission, SubmissionCall } from './submission.ts';

export interface Hooks<P extends Permission> {
  readonly auth: {
    /** The name as typed, before anything else: domain defaults, old forms. The core then applies PRECIS. */
    readonly normalize: Transform<string, Call>;
    /** Proves who a client is, for IMAP, submission and HTTP alike. A fault is "unavailable", never "wrong password". */
    readonly verify: Decide<LoginAttempt<SecretFor<P>>, LoginVerdict, Call, 'policy' | 'verify' | 'fallback'>;
    /** The login stands and the session opens: session secrets, rehash, import. May still refuse. */
    readonly succeeded: Gate<Login<SecretFor<P>>, AccountCall>;
    /** A login was refused or could not be decided: for counting and blocking. */
    readonly failed: Observe<LoginFailure, Call>;
    /** The name is known, the password has not been looked at: may this account use this mechanism? */
    readonly mechanism: Gate<MechanismRequest, Call>;
    /** A password, app password, token or recovery code is about to be created, changed, reset or revoked. */
    readonly credential: Gate<CredentialChange<SecretFor<P>>, AccountCall>;
  };
  readonly session: {
    /** A session that had logged in is over, whatever ended it. Session secrets are wiped when the observers are done. */
    readonly ended: Observe<SessionEnd, AccountCall>;
  };
  readonly account: {
    /** By name, without a login: API, CLI, delivery to an account not seen yet. */
    readonly lookup: Decide<LookupQuestion, AccountSeed, Call>;
    /** What is known of an account that is about to be made or brought up to date, by whoever knows of it. */
    readonly provision: Transform<AccountSeed, Call>;
    /** In the commit that makes the account; before its first message can arrive. */
    readonly creating: Gate<AccountCreation<SecretFor<P>>, AccountCall>;
    /** The mailboxes that a new account begins with, besides INBOX. */
    readonly mailboxes: Transform<readonly MailboxPlan[], AccountCall>;
  };
  readonly rcpt: {
    /** Whose address is this? The core's own directory is asked first; the core finds loops of aliases. */
    readonly resolve: Decide<RcptQuestion, RcptAnswer, Call>;
    /** The addresses that one address stands for: lists, forwards. */
    readonly expand: Transform<readonly string[], ExpandCall>;
    /** Mail for an account that exists: may it come in? The sender waits at RCPT TO. */
    readonly accept: Gate<RcptRequest, AccountCall>;
  };
  readonly delivery: {
    /** The whole message is here, nothing is parsed: the place to add or remove header fields. */
    readonly received: With<P, 'plaintext', Transform<Delivery, Call>>;
    /** All scanners at once; any `reject` refuses, any `defer` puts off, the rest goes to `delivery.route`. */
    readonly scan: Collect<Delivery<MessageFor<P>>, Verdict, Call>;
    /** Once per recipient. */
    readonly route: Transform<Routing, RouteCall<MessageFor<P>>>;
  };
  readonly append: {
    /** APPEND, REPLACE: the size is known, the literal not yet asked for. */
    readonly before: Gate<AppendRequest, AccountCall>;
    /** May this be a message that we have already? The core compares, in the commit. */
    readonly match: Decide<MatchQuestion, MatchPolicy, AccountCall>;
  };
  readonly store: {
    /** Every way in, COPY and MOVE apart: the content is here and parsed, nothing is written. */
    readonly before: Gate<StoreRequest<MessageFor<P>>, AccountCall>;
    /** How content and what is derived from it lie at rest; undone on every read. */
    readonly codec: With<P, 'plaintext', Declare<Codec>>;
    /** Another place for large parts; it sees encoded octets only. */
    readonly blobs: Declare<BlobDriver>;
  };
  /** What the search index will know of a message. */
  readonly index: {
    readonly document: With<P, 'plaintext', Transform<IndexDocument, AccountCall, 'normal', IndexDocument | Drop>>;
  };
  /** COPY and MOVE, before anything changes. */
  readonly copy: { readonly before: Gate<CopyRequest, AccountCall> };
  /** Before content dies, whatever the cause; may keep some of it. In slices of at most 1000. */
  readonly expunge: { readonly before: Gate<ExpungeRequest, AccountCall> };
  /** CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE, before anything changes. */
  readonly mailbox: { readonly before: Gate<MailboxChange, AccountCall> };
  /** What an account may hold; where nobody answers, its own quota or the configured one. */
  readonly quota: { readonly limits: Decide<QuotaQuestion, QuotaLimits, AccountCall> };
  /** Once per command, not per message. */
  readonly fetch: { readonly authorize: Gate<FetchRequest, AccountCall> };
  readonly search: {
    /** The query as the client gave it, before it is run: synonyms, other spellings. */
    readonly rewrite: With<P, 'plaintext', Transform<SearchQuery, SearchCall>>;
    /** An answer from an index of one's own. `exact: false` is a superset, which the core checks. */
    readonly plan: With<P, 'plaintext', Decide<SearchQuestion, SearchAnswer, AccountCall>>;
  };
  readonly submission: {
    /** May this account send under this address? */
    readonly identity: Decide<IdentityQuestion, IdentityAnswer, AccountCall>;
    /** The whole message is here, nothing is queued. */
    readonly before: Gate<Submission<MessageFor<P>>, AccountCall>;
    /** What goes out; Bcc is gone already. What is signed in the last stage is what is sent. */
    readonly message: With<P, 'plaintext', Transform<Message, SubmissionCall<Message>, 'headers' | 'body' | 'sign'>>;
    /** What is filed for the sender, and where. */
    readonly sentCopy: Transform<SentCopy, SubmissionCall<MessageFor<P>>>;
    /** The way out for a domain; where nobody answers, its MX. */
    readonly relay: Decide<RelayQuestion, Relay, AccountCall>;
  };
  /** Everything that has happened, after it is durable. */
  readonly journal: Follow;
  readonly notify: {
    /** What a channel will be told: SSE, WebSocket, webhook, web push. */
    readonly event: Transform<PushEvent, PushCall, 'normal', PushEvent | Drop>;
    /** Another way to tell subscribers: webhook, MQTT, web push. */
    readonly channel: Declare<PushChannel>;
  };
  readonly imap: {
    /** What CAPABILITY says, before and after login. */
    readonly capabilities: Transform<readonly string[], Call>;
    /** A command of its own. What its `args` do not parse is BAD before `handle`. */
    readonly command: DeclareCommand;
  };
  /** A resource below `/plugins/<plugin name>`, behind the API's token; its schemas are checked both ways. */
  readonly http: { readonly route: DeclareRoute };
  /** `pochard NAME ...`: runs in the server when one runs, else on the store. */
  readonly cli: { readonly command: Declare<CliCommand> };
  /** Asked by `/readyz`: a check that throws or is late makes it 503. */
  readonly health: { readonly check: Declare<HealthCheck> };
}

/** The hooks that exist only for plugins with `plaintext`; equal to what `Hooks` says by test. */
export const plaintextHooks = [
  'delivery.received',
  'store.codec',
  'index.document',
  'search.rewrite',
  'search.plan',
  'submission.message',
] as const;
