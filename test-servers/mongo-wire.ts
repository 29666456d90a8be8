/** As much of the MongoDB wire protocol as the official driver needs: OP_MSG, and OP_QUERY for its first greeting. */
import { type Document, deserialize, serialize } from 'bson';

const OP_REPLY = 1;
const OP_QUERY = 2004;
const OP_MSG = 2013;
const HEADER_OCTETS = 16;
const MORE_TO_COME = 2;
const MAX_MESSAGE_OCTETS = 48_000_000 + 16_384;

export interface WireRequest {
  readonly id: number;
  /** In the reply's form. */
  readonly op: typeof OP_QUERY | typeof OP_MSG;
  /** Numbers are Int32, Long and Double, so that they go on as they came. */
  readonly command: Document;
  /** False: the driver does not want to know (w: 0). */
  readonly wantsReply: boolean;
}

/** Splits octets of a connection into messages. @throws RangeError when a length cannot be */
export class MessageSplitter {
  #pending: Buffer = Buffer.alloc(0);

  *push(octets: Buffer): Iterable<Buffer> {
    let all = this.#pending.length === 0 ? octets : Buffer.concat([this.#pending, octets]);
    while (all.length >= 4) {
      const length = all.readInt32LE(0);
      if (length < HEADER_OCTETS || length > MAX_MESSAGE_OCTETS) throw new RangeError(`message of ${length} octets`);
      if (all.length < length) break;
      yield all.subarray(0, length);
      all = all.subarray(length);
    }
    this.#pending = all;
  }
}

export function decodeRequest(message: Buffer): WireRequest {
  const id = message.readInt32LE(4);
  const op = message.readInt32LE(12);
  if (op === OP_MSG) {
    const flags = message.readUInt32LE(HEADER_OCTETS);
    return { id, op, command: decodeSections(message.subarray(HEADER_OCTETS + 4)), wantsReply: (flags & MORE_TO_COME) === 0 };
  }
  if (op !== OP_QUERY) throw new RangeError(`operation ${op}`);
  const nameEnd = message.indexOf(0, HEADER_OCTETS + 4);
  return { id, op, command: document(message.subarray(nameEnd + 9)), wantsReply: true };
}

export function encodeReply(request: WireRequest, reply: Document): Buffer {
  const body = serialize(reply, { ignoreUndefined: true });
  const start = request.op === OP_MSG ? HEADER_OCTETS + 5 : HEADER_OCTETS + 20;
  const head = Buffer.alloc(start);
  head.writeInt32LE(start + body.length, 0);
  head.writeInt32LE(request.id, 8);
  head.writeInt32LE(request.op === OP_MSG ? OP_MSG : OP_REPLY, 12);
  if (request.op === OP_QUERY) head.writeInt32LE(1, 32); // documents that follow
  return Buffer.concat([head, body]);
}

/** One body (kind 0), and sequences of documents (kind 1) that become arrays in it. */
function decodeSections(sections: Buffer): Document {
  let command: Document = {};
  const sequences: Document = {};
  let at = 0;
  while (at < sections.length) {
    const kind = sections[at++];
    const end = at + sections.readInt32LE(at);
    if (kind === 0) command = document(sections.subarray(at, end));
    else {
      const nameEnd = sections.indexOf(0, at + 4);
      const documents: Document[] = [];
      for (let next = nameEnd + 1; next < end; next += sections.readInt32LE(next)) documents.push(document(sections.subarray(next)));
      sequences[sections.toString('latin1', at + 4, nameEnd)] = documents;
    }
    at = end;
  }
  return Object.assign(command, sequences);
}

function document(octets: Buffer): Document {
  return deserialize(octets.subarray(0, octets.readInt32LE(0)), { promoteValues: false });
}
