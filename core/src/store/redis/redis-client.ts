import { Cluster, type CommonRedisOptions, Redis } from 'ioredis';
import type { RedisTarget } from './redis-url.ts';

export type RedisClient = Redis | Cluster;

const CONNECT_MS = 3_000;

/**
 * Not connected yet. It never tries again by itself, queues nothing and resends nothing: what to do when Redis is away is for the caller,
 * who hears `end`.
 */
export function createRedisClient(target: RedisTarget, commandTimeoutMs: number): RedisClient {
  const { username, password, database } = target;
  const common = {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    connectTimeout: CONNECT_MS,
    commandTimeout: commandTimeoutMs,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    connectionName: 'pochard',
    // Nothing of RESP3 is used, and not every proxy in front of Redis speaks it.
    protocol: 2,
  } as const satisfies CommonRedisOptions;
  const tls = target.tls ? { tls: {} } : {};
  if (target.kind === 'cluster') {
    return new Cluster([...target.hosts], {
      lazyConnect: true,
      enableOfflineQueue: false,
      clusterRetryStrategy: () => null,
      slotsRefreshTimeout: CONNECT_MS,
      redisOptions: { ...common, ...tls },
    });
  }
  const alone = {
    ...common,
    db: database,
    lazyConnect: true,
    enableOfflineQueue: false,
    autoResubscribe: false,
    retryStrategy: () => null,
  };
  if (target.kind === 'sentinel') {
    return new Redis({
      ...alone,
      ...tls,
      sentinels: [...target.hosts],
      name: target.master,
      sentinelRetryStrategy: () => null,
      sentinelCommandTimeout: CONNECT_MS,
      enableTLSForSentinelMode: target.tls,
      ...(target.tls ? { sentinelTLS: {} } : {}),
    });
  }
  const [first] = target.hosts;
  return new Redis({ ...alone, ...tls, host: first?.host ?? '', port: first?.port ?? 0 });
}
