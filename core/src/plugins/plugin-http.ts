import { lookup as systemLookup } from 'node:dns';
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Http } from '@pochard/plugin-sdk';
import { AddressRules } from './private-addresses.ts';

type Request = Parameters<Http['send']>[0];
type Reply = Awaited<ReturnType<Http['send']>>;
/** Sends one request; a test's own answers, or the network. */
export type HttpTransport = (request: Request, signal: AbortSignal) => Promise<Reply>;

const silenceMs = 5_000; // without an octet either way; the whole is bounded by the tap's deadline
const maxReplyOctets = 64 * 1024;
const maxHeaderOctets = 16 * 1024;
const maxSockets = 32; // per plugin and server

/** A plugin's way out: no private addresses unless allowed, no redirects, replies of 64 KiB at most. */
export class PluginHttp implements Http {
  readonly #rules: AddressRules;
  readonly #transport: HttpTransport | undefined;
  readonly #agents = { 'http:': new HttpAgent({ keepAlive: true, maxSockets }), 'https:': new HttpsAgent({ keepAlive: true, maxSockets }) };
  readonly #lookup: LookupFunction;

  /** @throws TypeError when a network is not in CIDR form */
  constructor(options: {
    readonly privateNetworks: readonly string[];
    readonly transport?: HttpTransport | undefined;
    readonly lookup?: LookupFunction;
  }) {
    this.#rules = new AddressRules(options.privateNetworks);
    this.#transport = options.transport;
    this.#lookup = this.#pinned(options.lookup ?? systemLookup);
  }

  /** @throws TypeError for other schemes and private addresses; RangeError while reading a reply that is too long */
  async send(request: Request, signal: AbortSignal): Promise<Reply> {
    signal.throwIfAborted();
    if (this.#transport !== undefined) return this.#transport(request, signal);
    const url = new URL(request.url);
    if (url.protocol !== 'http:' && url.protocol !== 'https:') throw new TypeError('http and https only');
    const host = url.hostname.replace(/^\[|\]$/g, '');
    // A literal address is never looked up.
    if (isIP(host) !== 0 && !this.#rules.permits(host)) throw new TypeError(`${host} is a private address: list it in privateNetworks`);
    const response = await this.#exchange(url, request, signal);
    const body = bounded(response);
    return {
      status: response.statusCode ?? 0,
      headers: headersOf(response),
      body,
      text: async () => (await gathered(body)).toString('utf8'),
      json: async () => JSON.parse((await gathered(body)).toString('utf8')) as unknown,
    };
  }
  close(): void {
    for (const agent of Object.values(this.#agents)) agent.destroy();
  }

  async #exchange(url: URL, { method, headers, body }: Request, signal: AbortSignal): Promise<IncomingMessage> {
    const protocol = url.protocol === 'https:' ? 'https:' : 'http:';
    const open = protocol === 'https:' ? httpsRequest : httpRequest;
    const length = body === undefined ? undefined : typeof body === 'string' ? Buffer.byteLength(body) : body.sizeOctets;
    const outgoing = open(url, {
      method,
      agent: this.#agents[protocol],
      headers: { ...headers, ...(length === undefined ? {} : { 'content-length': String(length) }) },
      lookup: this.#lookup,
      signal,
      timeout: silenceMs,
      maxHeaderSize: maxHeaderOctets,
    });
    const answer = new Promise<IncomingMessage>((resolve, reject) => {
      outgoing.on('response', resolve);
      outgoing.on('error', reject);
      outgoing.on('timeout', () => outgoing.destroy(new Error(`no octet for ${silenceMs} ms`)));
    });
    if (body === undefined || typeof body === 'string') outgoing.end(body);
    else {
      // A server may answer before it has read all; then the rest of the body has nowhere to go.
      pipeline(Readable.from(body.open()), outgoing, { signal }).catch((error: unknown) => outgoing.destroy(asError(error)));
    }
    return answer;
  }
  /** Resolves, drops what is private, and connects to just what was checked: a name cannot change between check and use. */
  #pinned(lookup: LookupFunction): LookupFunction {
    return (hostname, options, callback) => {
      lookup(hostname, { ...options, all: true }, (error, found) => {
        if (error) return callback(error, []);
        const addresses = (Array.isArray(found) ? found : [{ address: found, family: isIP(found) }]).filter(({ address }) =>
          this.#rules.permits(address),
        );
        const [first] = addresses;
        if (first === undefined) return callback(new TypeError(`${hostname} is a private address: list it in privateNetworks`), []);
        if (options.all === true) callback(null, addresses);
        else callback(null, first.address, first.family);
      });
    };
  }
}

async function* bounded(response: IncomingMessage): AsyncGenerator<Uint8Array> {
  let octets = 0;
  for await (const chunk of response as AsyncIterable<Uint8Array>) {
    octets += chunk.length;
    if (octets > maxReplyOctets) {
      response.destroy();
      throw new RangeError(`the reply is longer than ${maxReplyOctets} octets`);
    }
    yield chunk;
  }
}
async function gathered(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks);
}
function headersOf(response: IncomingMessage): Headers {
  const headers = new Headers();
  for (const [name, values] of Object.entries(response.headersDistinct)) for (const value of values ?? []) headers.append(name, value);
  return headers;
}
function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error('the body could not be read', { cause: error });
}
