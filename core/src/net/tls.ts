import { X509Certificate } from 'node:crypto';
import { chmod, mkdir, open, readFile, rename, stat } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import type { SecureVersion } from 'node:tls';
import { generate } from 'selfsigned';
import type { NetLog } from './log.ts';
import { type TlsMaterial, TlsTerminator } from './tls-terminator.ts';

/** An entry of subjectAltName as `selfsigned` wants it: 2 is a DNS name, 7 an IP address. */
type SubjectAltNameEntry = { type: 2; value: string } | { type: 7; ip: string };

const DAY_MS = 86_400_000;
/** Clients of a self-signed certificate pin it, so it is rarely changed. */
const SELF_SIGNED_DAYS = 3650;

export interface TlsFiles {
  readonly certificateFile: string;
  readonly keyFile: string;
}

export interface TlsOptions {
  /** Both or none; none: a self-signed certificate in `<dataDirectory>/tls`, made if it is not there or has expired. */
  readonly files: TlsFiles | undefined;
  readonly dataDirectory: string;
  /** Name of the server, the subject of a self-signed certificate. */
  readonly hostname: string;
  readonly minVersion: SecureVersion;
  readonly handshakeTimeMs: number;
  readonly log: NetLog;
  /** ms since 1970. */
  readonly now: () => number;
}

/** The certificate of a server, read again when its files change. */
export class Tls {
  readonly terminator: TlsTerminator;
  readonly files: TlsFiles;
  readonly minVersion: SecureVersion;
  readonly #log: NetLog;
  readonly #listeners = new Set<(material: TlsMaterial) => void>();
  #material: TlsMaterial;
  #stamp: string;

  private constructor(options: TlsOptions, files: TlsFiles, material: TlsMaterial, stamp: string) {
    const { minVersion, handshakeTimeMs, log } = options;
    this.terminator = new TlsTerminator({ material, minVersion, handshakeTimeMs });
    this.files = files;
    this.minVersion = minVersion;
    this.#log = log;
    this.#material = material;
    this.#stamp = stamp;
  }

  /** @throws Error when the files cannot be read or do not belong together */
  static async open(options: TlsOptions): Promise<Tls> {
    const files = options.files ?? (await selfSignedFiles(options));
    const stamp = await stampOf(files).catch((error: unknown) => {
      throw new Error(
        `certificateFile ${files.certificateFile}, keyFile ${files.keyFile}: ${error instanceof Error ? error.message : error}`,
        { cause: error },
      );
    });
    const { mode } = await stat(files.keyFile);
    if ((mode & 0o077) !== 0)
      options.log.warn({ file: files.keyFile, mode: (mode & 0o777).toString(8) }, 'private key is readable by others');
    return new Tls(options, files, await read(files), stamp);
  }

  /** What is in use now, for servers that make TLS themselves. */
  get material(): TlsMaterial {
    return this.#material;
  }

  /** Calls `listener` with every later certificate; returns how to stop that. */
  onReplace(listener: (material: TlsMaterial) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Reads the files again, on SIGHUP. Bad files are logged and the old certificate stays. Connections that are open keep theirs. */
  async reload(): Promise<'replaced' | 'kept'> {
    try {
      const stamp = await stampOf(this.files);
      const material = await read(this.files);
      this.terminator.replace(material);
      this.#material = material;
      this.#stamp = stamp;
      for (const listener of this.#listeners) listener(material);
    } catch (error) {
      // Half of a renewal may be there: the stamp stays old, so the next look tries again.
      this.#log.error({ err: error, file: this.files.certificateFile }, 'certificate cannot be loaded, the old one stays');
      return 'kept';
    }
    this.#log.info({ file: this.files.certificateFile }, 'certificate loaded');
    return 'replaced';
  }

  /** `reload` if a file has changed; links are followed. To be called now and then. */
  async reloadIfChanged(): Promise<'replaced' | 'kept' | 'same'> {
    let stamp: string;
    try {
      stamp = await stampOf(this.files);
    } catch (error) {
      this.#log.error({ err: error, file: this.files.certificateFile }, 'certificate cannot be seen, the old one stays');
      return 'kept';
    }
    return stamp === this.#stamp ? 'same' : this.reload();
  }
}

async function read({ certificateFile, keyFile }: TlsFiles): Promise<TlsMaterial> {
  const [certificate, key] = await Promise.all([readFile(certificateFile), readFile(keyFile)]);
  return { certificate, key };
}

async function stampOf({ certificateFile, keyFile }: TlsFiles): Promise<string> {
  const stats = await Promise.all([stat(certificateFile), stat(keyFile)]);
  return stats.map(({ ino, mtimeMs, size }) => `${ino} ${mtimeMs} ${size}`).join();
}

/** Finds or makes the self-signed pair; folder 0700, files 0600. */
async function selfSignedFiles({ dataDirectory, hostname, log, now }: TlsOptions): Promise<TlsFiles> {
  const directory = join(dataDirectory, 'tls');
  const files: TlsFiles = { certificateFile: join(directory, 'self-signed.crt'), keyFile: join(directory, 'self-signed.key') };
  if (await isUsable(files, now())) return files;

  await mkdir(directory, { recursive: true, mode: 0o700 });
  await chmod(directory, 0o700);
  const {
    cert,
    private: key,
    fingerprint,
  } = await generate([{ name: 'commonName', value: hostname }], {
    keyType: 'ec',
    curve: 'P-256',
    algorithm: 'sha256',
    notBeforeDate: new Date(now() - DAY_MS), // clients' clocks differ
    notAfterDate: new Date(now() + SELF_SIGNED_DAYS * DAY_MS),
    extensions: [
      { name: 'basicConstraints', cA: false, critical: true },
      { name: 'keyUsage', digitalSignature: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true },
      { name: 'subjectAltName', altNames: alternativeNames(hostname) },
    ],
  });
  await writePrivate(files.keyFile, key);
  await writePrivate(files.certificateFile, cert);
  log.info({ file: files.certificateFile, fingerprint, hostname }, 'made a self-signed certificate');
  return files;
}

function alternativeNames(hostname: string): SubjectAltNameEntry[] {
  const own: SubjectAltNameEntry = isIP(hostname) === 0 ? { type: 2, value: hostname } : { type: 7, ip: hostname };
  return [own, { type: 2, value: 'localhost' }, { type: 7, ip: '127.0.0.1' }, { type: 7, ip: '::1' }];
}

/** Both there and not expired; a pair that is half there is made anew. */
async function isUsable(files: TlsFiles, now: number): Promise<boolean> {
  try {
    const { certificate } = await read(files);
    return new X509Certificate(certificate).validToDate.getTime() > now;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
    throw error;
  }
}

/** Never readable by others, not even while it is written; whole or not there. */
async function writePrivate(file: string, text: string): Promise<void> {
  const temporary = `${file}.new`;
  const handle = await open(temporary, 'w', 0o600);
  try {
    await handle.chmod(0o600);
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, file);
}
