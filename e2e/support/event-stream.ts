/** Server-sent events (HTML §9.2.6) of a fetch response, one after the other. */

export interface ServerEvent {
  readonly id: string;
  readonly type: string;
  readonly data: Record<string, unknown>;
}

export class EventStream {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #decoder = new TextDecoder();
  #text = '';

  constructor(response: Response) {
    if (response.body === null) throw new Error('no body');
    this.#reader = response.body.getReader();
  }

  /** The next event; `undefined` at the end of the stream. */
  async next(): Promise<ServerEvent | undefined> {
    for (;;) {
      const end = this.#text.indexOf('\n\n');
      if (end === -1) {
        const { done, value } = await this.#reader.read().catch(() => ({ done: true, value: undefined })); // cut is an end too
        if (done) return undefined;
        this.#text += this.#decoder.decode(value, { stream: true });
        continue;
      }
      const block = this.#text.slice(0, end);
      this.#text = this.#text.slice(end + 2);
      const fields = new Map(block.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]));
      const type = fields.get('event');
      if (type === undefined) continue; // a comment, or `retry`
      return { id: fields.get('id') ?? '', type, data: JSON.parse(fields.get('data') ?? '{}') };
    }
  }
  async until(type: string): Promise<ServerEvent> {
    for (;;) {
      const event = await this.next();
      if (event === undefined) throw new Error(`the stream ended before ${type}`);
      if (event.type === type) return event;
    }
  }
  close(): Promise<void> {
    return this.#reader.cancel();
  }
}
