/**
 * smtp-server's input parser with our own data mode: strict line ends, no timer per dot-stuffed line, backpressure to the socket.
 * It replaces three methods of the (exactly pinned) library; everything about commands stays the library's.
 */
import type { SMTPServerDataStream } from 'smtp-server';
import { SMTPStream, type SMTPStreamOptions } from 'smtp-server/lib/smtp-stream.js';
import { MailError } from '../mail/errors.ts';
import { DataReader, type DataStep } from './data-reader.ts';
import { MessageData } from './message-data.ts';

type Done = (error?: Error | null) => void;
const NOTHING = Buffer.alloc(0);

export class StrictSmtpStream extends SMTPStream {
  #reader: DataReader | undefined;
  #stream: MessageData | undefined;
  #wanted = true;
  readonly #onViolation: () => void;

  constructor(options: SMTPStreamOptions, onViolation: () => void) {
    super(options);
    this.#onViolation = onViolation;
  }

  override startDataMode(maxBytes?: number | string | null): SMTPServerDataStream {
    this._dataMode = true;
    this._maxBytes = Number(maxBytes) || Number.POSITIVE_INFINITY;
    this.dataBytes = 0;
    const stream = new MessageData();
    this.#stream = stream;
    this.#wanted = true;
    this.#reader = new DataReader((piece) => {
      this.dataBytes += piece.length;
      stream.byteLength = this.dataBytes;
      if (this.dataBytes > this._maxBytes) stream.sizeExceeded = true;
      this.#wanted = stream.push(piece);
    });
    // The library keeps a PassThrough here.
    this._dataStream = stream as unknown as SMTPServerDataStream;
    return this._dataStream;
  }

  override _feedDataStream(chunk: Buffer, done: Done): void {
    const reader = this.#reader;
    const stream = this.#stream;
    if (reader === undefined || stream === undefined) {
      done();
      return;
    }
    const step: DataStep = reader.push(chunk);
    switch (step.state) {
      case 'more':
        if (this.#wanted) done();
        else stream.whenWanted(done);
        return;
      case 'violation':
        this.#leaveDataMode();
        this.isClosed = true;
        // The client's fault, which is no news for the log.
        stream.destroy(new MailError('invalid', 'Only CRLF ends a line'));
        this.#onViolation();
        done();
        return;
      case 'end':
        this.#leaveDataMode();
        this.#resumeAfter(stream, step.rest, done);
        stream.finish();
        return;
    }
  }

  #leaveDataMode(): void {
    this._dataMode = false;
    this._dataStream = null;
    this._remainder = '';
    this.#reader = undefined;
    this.#stream = undefined;
  }

  /** Commands that follow the message are read once the reply to it was sent ({@link SMTPStream.continue}). */
  #resumeAfter(stream: MessageData, rest: Buffer, done: Done): void {
    const next = () => this._write(rest.length === 0 ? NOTHING : rest, 'buffer', done);
    if (this._continueCallback !== true) {
      this._continueCallback = next;
      return;
    }
    this._continueCallback = false;
    if (stream.destroyed || stream.readableEnded) setImmediate(next);
    else stream.once('close', next);
  }
}
