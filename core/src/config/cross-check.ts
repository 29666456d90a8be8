import { parseRedisUrl } from '../store/redis/redis-url.ts';
import { type Located, originAt, type Path } from './located.ts';
import { keyText, type Problem } from './problem.ts';
import type { Config, Protocol } from './schema.ts';

const protocols: readonly Protocol[] = ['imap', 'smtp', 'lmtp', 'submission', 'http'];

/** What a schema cannot say: keys that contradict each other. */
export function crossCheck(config: Config, root: Located): Problem[] {
  const problems: Problem[] = [];
  const problem = (path: Path, message: string) => problems.push({ where: originAt(root, path).where, key: keyText(path), message });

  const taken = new Map<string, string>();
  for (const protocol of protocols) {
    for (const [index, { address, port, tls }] of config[protocol].listeners.entries()) {
      const path = [protocol, 'listeners', index];
      if (!/^[\w.:%*-]+$/.test(address)) problem([...path, 'address'], 'must be an IP address, a host name or "*"');
      const socket = `${address} port ${port}`;
      const other = taken.get(socket);
      if (port !== 0 && other !== undefined) problem(path, `${socket} is already that of ${other}`);
      taken.set(socket, keyText(path));
      if (protocol === 'http' && tls === 'starttls') problem([...path, 'tls'], 'HTTP has no STARTTLS; use none or implicit');
    }
  }

  const { relay, queue } = config.submission;
  if (relay.user !== undefined && relay.password === undefined)
    problem(['submission', 'relay', 'user'], 'submission.relay.passwordFile is missing beside it');
  if (relay.password !== undefined && relay.user === undefined)
    problem(['submission', 'relay'], 'submission.relay.user is missing beside the password');
  if (relay.user !== undefined && (relay.tls === 'none' || relay.tls === 'opportunistic') && !isLoopback(relay.host))
    problem(['submission', 'relay', 'tls'], 'a password goes to another machine only with starttls or implicit');
  if (relay.host !== '' && !/^[\w.:-]+$/.test(relay.host)) problem(['submission', 'relay', 'host'], 'must be an IP address or a host name');
  if (queue.retryMaxMs < queue.retryFirstMs) problem(['submission', 'queue', 'retryMaxMs'], 'must not be less than retryFirstMs');

  const { mongodb } = config.store;
  if (config.store.driver === 'mongodb' && mongodb.url === undefined)
    problem(['store', 'driver'], 'store.mongodb.url (or urlFile) is missing beside it');
  const { redis, driver } = config.bus;
  if (driver === 'redis' && redis.url === undefined) problem(['bus', 'driver'], 'bus.redis.url (or urlFile) is missing beside it');
  if (redis.url !== undefined) {
    try {
      parseRedisUrl(redis.url.reveal());
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      problem(['bus', 'redis', 'url'], error.message);
    }
  }
  // Each instance would take itself for the only one: what is sent or told once would be so once by each.
  if (config.store.driver === 'mongodb' && driver !== 'redis')
    problem(['store', 'driver'], 'mongodb needs bus.driver redis (and bus.redis.url), by which instances know of each other');
  // Two servers on one Redis would take turns with work that each has to do itself.
  if (config.store.driver !== 'mongodb' && driver === 'redis')
    problem(['bus', 'driver'], `redis is for store.driver mongodb: a ${config.store.driver} store belongs to one process`);
  if (config.workers > 1 && (config.store.driver === 'sqlite' || config.store.driver === 'memory'))
    problem(['workers'], `a ${config.store.driver} store belongs to one process: several workers need store.driver mongodb`);

  const { certificateFile, keyFile } = config.tls;
  if (certificateFile !== undefined && keyFile === undefined) problem(['tls', 'certificateFile'], 'tls.keyFile is missing beside it');
  if (keyFile !== undefined && certificateFile === undefined) problem(['tls', 'keyFile'], 'tls.certificateFile is missing beside it');

  const { recipientDelimiter } = config.mail;
  if (/[\s@"\p{L}\p{N}]/u.test(recipientDelimiter))
    problem(['mail', 'recipientDelimiter'], 'must be a punctuation mark other than @ and "');

  const names = new Map<string, string>();
  for (const [use, name] of Object.entries(config.mail.specialUse)) {
    const folded = name.toLowerCase();
    if (folded === '') continue;
    if (folded === 'inbox') problem(['mail', 'specialUse', use], 'INBOX cannot have a special use of a new account');
    const other = names.get(folded);
    if (other !== undefined) problem(['mail', 'specialUse', use], `is also the name of ${other}`);
    names.set(folded, use);
  }

  for (const [index, { scope, use }] of config.plugins.entries()) {
    for (const [position, name] of (scope?.listeners ?? []).entries()) {
      if (protocols.some((protocol) => protocol === name)) continue;
      problem(['plugins', index, 'scope', 'listeners', position], `no such listener for ${use}: must be one of ${protocols.join(', ')}`);
    }
  }
  return problems;
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}
