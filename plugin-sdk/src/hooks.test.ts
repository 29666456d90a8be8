import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import {
  type Call,
  definePlugin,
  type HookAt,
  type HookName,
  type Hooks,
  type Needs,
  plaintextHooks,
  Refusal,
  sdkVersion,
  specs,
  Type,
} from './index.ts';

/* What the compiler must say; nothing of it runs. */

type Equal<One, Other> = (<T>() => T extends One ? 1 : 2) extends <T>() => T extends Other ? 1 : 2 ? true : false;
function assertType<_Claim extends true>(): void {
  // for the compiler
}
/** The names in `Hooks`, found another way than `HookName` finds them: area by area. */
type NamesByArea = {
  [Area in keyof Hooks<never>]: Hooks<never>[Area] extends { readonly kind: string }
    ? Area
    : { [Member in keyof Hooks<never>[Area] & string]: `${Area}.${Member}` }[keyof Hooks<never>[Area] & string];
}[keyof Hooks<never>];
type Closed = {
  [Name in HookName]: Name extends `${infer Area}.${infer Member}`
    ? Area extends keyof Hooks<never>
      ? Member extends keyof Hooks<never>[Area]
        ? Hooks<never>[Area][Member] extends Needs<'plaintext'>
          ? Name
          : never
        : never
      : never
    : never;
}[HookName];

test('specs has a row for each hook of Hooks and no other, of its kind', () => {
  assertType<Equal<keyof typeof specs, HookName>>();
  assertType<Equal<NamesByArea, HookName>>();
  assertType<Equal<(typeof specs)['auth.verify']['kind'], HookAt<'auth.verify'>['kind']>>();
  assert.equal(Object.keys(specs).length, 43);
});

test('the hooks that need plaintext are those whose type says so', () => {
  assertType<Equal<(typeof plaintextHooks)[number], Closed>>();
  for (const name of plaintextHooks) assert(Object.hasOwn(specs, name));
});

test('without a permission its members do not compile', () => {
  definePlugin({
    name: 'bare',
    apply(context) {
      const { hooks } = context;
      // @ts-expect-error needs plaintext
      hooks.delivery.received.transform;
      // @ts-expect-error needs plaintext
      context.messages.open;
      // @ts-expect-error needs network
      context.http.send;
      // @ts-expect-error needs schedule
      context.tasks.every;
      // @ts-expect-error needs write
      context.mail.flag;
      hooks.delivery.scan.collect(({ message }) => {
        // @ts-expect-error needs plaintext
        message.open();
        return [];
      });
      hooks.auth.verify.decide(({ secret }) => {
        // @ts-expect-error needs credentials
        secret.bytes();
      });
    },
  });
  definePlugin({
    name: 'trusted',
    permissions: ['plaintext', 'credentials'],
    apply({ hooks }) {
      hooks.delivery.received.transform((delivery) => delivery.with(delivery.message.prepend('A', 'b')));
      hooks.auth.verify.decide(({ secret }) => void secret.bytes());
    },
  });
});

test('the wrong verb, and answers that a kind does not have, do not compile', () => {
  definePlugin({
    name: 'mistaken',
    config: Type.Object({ limit: Type.Number() }),
    apply({ hooks }, config) {
      const limit: number = config.limit;
      // @ts-expect-error a gate has no `decide`
      hooks.rcpt.accept.decide;
      // @ts-expect-error a gate does not veto by returning false
      hooks.rcpt.accept.gate(() => false);
      // @ts-expect-error null is no answer
      hooks.auth.verify.decide(() => null);
      // @ts-expect-error a transform returns its value
      hooks.delivery.route.transform(() => undefined);
      // @ts-expect-error not a stage of this hook
      hooks.auth.verify.decide(() => undefined, { stage: 'sign' });
      // @ts-expect-error no account before there is one
      hooks.auth.verify.decide((_attempt, call) => void call.account);
      hooks.quota.limits.decide(() => ({ octets: limit }));
      // @ts-expect-error an event that is not followed is not there
      hooks.journal.follow(['message.stored'], (event) => event.judged);
      hooks.journal.follow(['spam.feedback'], (event) => event.judged);
    },
  });
  const forged = (call: Call) => {
    // @ts-expect-error only the core makes an actor
    const actor: Call['actor'] = { type: 'admin', name: 'root', accountId: undefined };
    return [actor, call];
  };
  assert.equal(typeof forged, 'function');
});

test('the SDK stamps the version of its package', async () => {
  const manifest: unknown = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8'));
  assert(typeof manifest === 'object' && manifest !== null && 'version' in manifest);
  assert.equal(sdkVersion, manifest.version);
  assert.equal(definePlugin({ name: 'x', apply: () => undefined }).sdk, sdkVersion);
});

test("a refusal's text cannot break out of a reply line", () => {
  assert.equal(new Refusal('policy', 'no\r\n250 OK').message, 'no  250 OK');
  assert.equal(new Refusal('policy', 'x'.repeat(1000)).message.length, 200);
});
