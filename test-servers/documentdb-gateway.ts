/**
 * Speaks the MongoDB wire protocol in front of PostgreSQL with the DocumentDB extension, whose functions take and return the command
 * documents of MongoDB. Not there: authentication, transactions, change streams, states of a replica set.
 */
import { createServer, type Server, type Socket } from 'node:net';
import { type Document, deserialize, Int32, Long, serialize } from 'bson';
import pg from 'pg';
import { decodeRequest, encodeReply, MessageSplitter, type WireRequest } from './mongo-wire.ts';

const BSON = 'documentdb_core.bson';
const POOL = 60;
/** Error codes of MongoDB by SQLSTATE of the engine. */
const CODES: Readonly<Record<string, number>> = {
  M0001: 2,
  M0003: 9,
  M0004: 14,
  M0008: 26,
  M0009: 27,
  M000E: 43,
  M000F: 48,
  M000M: 66,
  M000N: 67,
  M000P: 72,
  M000R: 85,
  M000S: 86,
  M001B: 10334,
  M001C: 11000,
  M003A: 17419,
  23505: 11000,
};
const LIMITS = { maxBsonObjectSize: 16_777_216, maxMessageSizeBytes: 48_000_000, maxWriteBatchSize: 100_000 };
/** Fields of the driver's that the engine does not take. */
const ENVELOPE = new Set([
  '$db',
  'lsid',
  '$clusterTime',
  'txnNumber',
  '$readPreference',
  'apiVersion',
  'readConcern',
  'writeConcern',
  'autocommit',
  'startTransaction',
  'maxTimeMS',
  'comment',
]);

interface OpenCursor {
  continuation: string;
  /** The connection of PostgreSQL that holds a sorted or grouped result. */
  readonly held: pg.PoolClient | undefined;
  /** Who opened it: what a killed client holds is freed with its connection. */
  readonly connectionId: number;
}
type Handler = (command: Document, database: string, connectionId: number) => Promise<Document> | Document;

export class DocumentDbGateway {
  readonly #pool: pg.Pool;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #cursors = new Map<string, OpenCursor>();
  readonly #handlers = new Map<string, Handler>();
  #connections = 0;

  constructor(postgresPort: number) {
    this.#pool = new pg.Pool({ host: '127.0.0.1', port: postgresPort, user: 'postgres', database: 'postgres', max: POOL });
    this.#pool.on('error', () => undefined); // an idle connection ended with the server; the next command says so
    this.#server = createServer((socket) => this.#serve(socket));
    this.#register();
  }

  async listen(): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(0, '127.0.0.1', resolve);
    });
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    return address.port;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
    for (const id of [...this.#cursors.keys()]) this.#drop(id);
    await this.#pool.end();
  }

  #serve(socket: Socket): void {
    const id = ++this.#connections;
    const splitter = new MessageSplitter();
    let last = Promise.resolve();
    this.#sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      this.#sockets.delete(socket);
      for (const [cursor, { connectionId, held }] of this.#cursors) if (connectionId === id && held !== undefined) this.#drop(cursor);
    });
    socket.on('data', (octets) => {
      try {
        for (const message of splitter.push(octets)) {
          const request = decodeRequest(message);
          last = last.then(() => this.#answer(socket, id, request)).catch((error: unknown) => void socket.destroy(error as Error));
        }
      } catch (error) {
        socket.destroy(error as Error);
      }
    });
  }

  async #answer(socket: Socket, connectionId: number, request: WireRequest): Promise<void> {
    const { command } = request;
    const [name = ''] = Object.keys(command);
    const database = String(command['$db'] ?? 'admin');
    for (const key of Object.keys(command)) if (ENVELOPE.has(key)) delete command[key];
    let reply: Document;
    try {
      const handler = this.#handlers.get(name);
      if (handler !== undefined) reply = await handler(command, database, connectionId);
      else if (name === 'hello' || name === 'ismaster' || name === 'isMaster') reply = hello(connectionId);
      else reply = { ok: 0, code: 59, codeName: 'CommandNotFound', errmsg: `no such command: '${name}'` };
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      const state = 'code' in error ? String(error.code) : '';
      reply = { ok: 0, code: CODES[state] ?? 1, codeName: 'Error', errmsg: `${error.message} [${state}]` };
    }
    if (request.wantsReply && !socket.destroyed) socket.write(encodeReply(request, reply));
  }

  #register(): void {
    const on = (name: string, handler: Handler): void => void this.#handlers.set(name, handler);
    const ok = (): Document => ({ ok: 1 });
    for (const name of ['ping', 'endSessions', 'getParameter']) on(name, ok);
    on('buildInfo', () => ({ version: '7.0.0', versionArray: [7, 0, 0, 0], ok: 1 }));
    for (const [name, routine] of [
      ['insert', 'insert'],
      ['update', 'update'],
      ['delete', 'delete'],
      ['findAndModify', 'find_and_modify'],
    ] as const) {
      on(name, (command, database) => this.#value(`select p_result from documentdb_api.${routine}($1, $2::${BSON})`, command, database));
    }
    for (const [name, routine] of [
      ['find', 'find_cursor_first_page'],
      ['aggregate', 'aggregate_cursor_first_page'],
      ['listCollections', 'list_collections_cursor_first_page'],
      ['listIndexes', 'list_indexes_cursor_first_page'],
    ] as const) {
      on(name, (command, database, connectionId) => this.#firstPage(routine, command, database, connectionId));
    }
    on('count', (c, db) => this.#value(`select document from documentdb_api.count_query($1, $2::${BSON})`, c, db));
    on('distinct', (c, db) => this.#value(`select document from documentdb_api.distinct_query($1, $2::${BSON})`, c, db));
    on('getMore', (command, database) => this.#nextPage(command, database));
    on('killCursors', ({ cursors }) => {
      for (const id of cursors) this.#drop(String(id));
      return { cursorsKilled: cursors, cursorsNotFound: [], cursorsAlive: [], cursorsUnknown: [], ok: 1 };
    });
    // Built before the reply, as MongoDB does it; the engine's own way leaves it to a job of some seconds later.
    on('createIndexes', (c, db) =>
      this.#value(`select documentdb_api_internal.create_indexes_non_concurrently($1, $2::${BSON}, false)`, c, db),
    );
    on('dropIndexes', (c, db) => this.#value(`call documentdb_api.drop_indexes($1, $2::${BSON}, null)`, c, db));
    on('create', async ({ create }, db) => this.#done('select documentdb_api.create_collection($1, $2)', [db, create]));
    on('drop', async ({ drop }, db) => this.#done('select documentdb_api.drop_collection($1, $2)', [db, drop]));
    on('dropDatabase', async (_, db) => ({ ...(await this.#done('select documentdb_api.drop_database($1)', [db])), dropped: db }));
  }

  async #done(sql: string, values: readonly unknown[]): Promise<Document> {
    await this.#pool.query(sql, [...values]);
    return { ok: 1 };
  }

  /** The one value that the statement gives. */
  async #value(sql: string, command: Document, database: string): Promise<Document> {
    const { rows } = await this.#pool.query({ text: sql, values: [database, encoded(command)], rowMode: 'array' });
    return withCodes(decoded(rows[0]?.[0]));
  }

  async #firstPage(routine: string, command: Document, database: string, connectionId: number): Promise<Document> {
    const client = await this.#pool.connect();
    let held: pg.PoolClient | undefined;
    try {
      const { rows } = await client.query({
        text: `select cursorpage, continuation, persistconnection, cursorid from documentdb_api.${routine}($1, $2::${BSON})`,
        values: [database, encoded(command)],
        rowMode: 'array',
      });
      const [page, continuation, persistent, id] = rows[0] ?? [];
      if (typeof continuation === 'string' && String(id) !== '0') {
        if (persistent === true) held = client;
        this.#cursors.set(String(id), { continuation, held, connectionId });
      }
      return decoded(page);
    } finally {
      if (held === undefined) client.release();
    }
  }

  async #nextPage(command: Document, database: string): Promise<Document> {
    const id = String(command['getMore']);
    const cursor = this.#cursors.get(id);
    if (cursor === undefined) return { ok: 0, code: 43, codeName: 'CursorNotFound', errmsg: `cursor id ${id} not found` };
    const { rows } = await (cursor.held ?? this.#pool).query({
      text: `select cursorpage, continuation from documentdb_api.cursor_get_more($1, $2::${BSON}, $3::${BSON})`,
      values: [database, encoded(command), cursor.continuation],
      rowMode: 'array',
    });
    const [page, continuation] = rows[0] ?? [];
    if (typeof continuation === 'string') cursor.continuation = continuation;
    else this.#drop(id);
    return decoded(page);
  }

  #drop(id: string): void {
    // Ended rather than given back: what it held open goes with it.
    this.#cursors.get(id)?.held?.release(true);
    this.#cursors.delete(id);
  }
}

function hello(connectionId: number): Document {
  return {
    ismaster: true,
    isWritablePrimary: true,
    helloOk: true,
    ...LIMITS,
    localTime: new Date(),
    logicalSessionTimeoutMinutes: 30,
    connectionId,
    minWireVersion: 0,
    maxWireVersion: 21,
    readOnly: false,
    ok: 1,
  };
}

function encoded(document: Document): string {
  return `BSONHEX${Buffer.from(serialize(document, { ignoreUndefined: true })).toString('hex')}`;
}
function decoded(value: unknown): Document {
  if (typeof value !== 'string' || !value.startsWith('BSONHEX')) throw new TypeError('the engine gave no document');
  return deserialize(Buffer.from(value.slice(7), 'hex'), { promoteValues: false });
}

/** In replies to writes an SQLSTATE comes as an integer, six bits a character. */
function withCodes(reply: Document): Document {
  for (const part of [reply, ...(reply['writeErrors'] ?? [])]) {
    const code = part.code instanceof Int32 || part.code instanceof Long ? Number(part.code) : 0;
    if (code < 100_000) continue;
    const state = Array.from({ length: 5 }, (_, i) => String.fromCharCode(((code >> (6 * i)) & 63) + 48)).join('');
    part.code = new Int32(CODES[state] ?? 1);
  }
  return reply;
}
