/** What there is to import: one message at a time, with what its old store knew of it. */
export interface FoundMessage {
  /** Where it was found, for errors: a file, or a file and the number of the message in it. */
  readonly where: string;
  /** Full name of the mailbox, '/' between levels. */
  readonly mailbox: string;
  readonly flags: readonly string[];
  /** INTERNALDATE in seconds since 1970. */
  readonly internalDate: number | undefined;
  readonly octets: Uint8Array;
}
export interface ImportSource {
  /** Octets of all files, for the progress bar. */
  readonly totalOctets: number;
  messages(): AsyncIterable<FoundMessage>;
}
/** A file that cannot be imported; the message names it. */
export class ImportError extends Error {
  override name = 'ImportError';
}
