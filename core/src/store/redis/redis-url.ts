/** Where Redis is: one server, the master that Sentinels name, or a Cluster. */
export interface RedisTarget {
  readonly kind: 'single' | 'sentinel' | 'cluster';
  /** Of servers, Sentinels, or some nodes of the cluster. */
  readonly hosts: readonly { readonly host: string; readonly port: number }[];
  readonly tls: boolean;
  readonly username: string | undefined;
  readonly password: string | undefined;
  /** Sentinel's name of the master. */
  readonly master: string;
  readonly database: number;
}

const SCHEME = /^redis(s?)(?:\+(sentinel|cluster))?:\/\//;
const DEFAULT_PORT = { single: 6379, cluster: 6379, sentinel: 26379 } as const;

/**
 * `redis://[user:password@]host[:port][/database]`, `redis+sentinel://[user:password@]host[:port],.../master[/database]`,
 * `redis+cluster://[user:password@]host[:port],...`; with `rediss` instead of `redis` over TLS. User and password are URL-encoded.
 * @throws TypeError that says what is wrong, without the password
 */
export function parseRedisUrl(url: string): RedisTarget {
  const scheme = SCHEME.exec(url);
  if (scheme === null) throw new TypeError('a Redis URL begins with redis://, rediss://, redis+sentinel:// or redis+cluster://');
  const kind = scheme[2] === 'sentinel' || scheme[2] === 'cluster' ? scheme[2] : 'single';
  const rest = url.slice(scheme[0].length);
  const slash = rest.indexOf('/');
  const authority = slash < 0 ? rest : rest.slice(0, slash);
  const path = slash < 0 ? [] : rest.slice(slash + 1).split('/');
  const at = authority.lastIndexOf('@');
  const colon = authority.indexOf(':');
  const username = at < 0 ? '' : authority.slice(0, colon >= 0 && colon < at ? colon : at);
  const password = at < 0 || colon < 0 || colon > at ? '' : authority.slice(colon + 1, at);
  const hosts = authority
    .slice(at + 1)
    .split(',')
    .map((text) => hostAndPort(text, DEFAULT_PORT[kind]));
  if (kind === 'single' && hosts.length > 1) throw new TypeError('several hosts: say redis+sentinel:// or redis+cluster://');
  const master = kind === 'sentinel' ? (path.shift() ?? '') : '';
  if (kind === 'sentinel' && master === '') throw new TypeError('redis+sentinel:// needs the name of the master: .../mymaster');
  const database = path[0] === undefined || path[0] === '' ? 0 : Number(path[0]);
  if (!Number.isInteger(database) || database < 0 || path.length > 1) throw new TypeError('the path of a Redis URL ends with a number');
  if (kind === 'cluster' && database !== 0) throw new TypeError('Redis Cluster has database 0 only');
  return {
    kind,
    hosts,
    tls: scheme[1] === 's',
    username: username === '' ? undefined : decoded(username),
    password: password === '' ? undefined : decoded(password),
    master: decoded(master),
    database,
  };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new TypeError('a Redis URL has a % that does not begin an octet');
  }
}

/** IPv6 addresses are in brackets. */
function hostAndPort(text: string, defaultPort: number): { readonly host: string; readonly port: number } {
  const [, bracketed, plain, digits] = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  const port = digits === undefined ? defaultPort : Number(digits);
  if (host === undefined || port === 0 || port > 65_535) throw new TypeError('a host of the Redis URL is not host or host:port');
  return { host, port };
}
