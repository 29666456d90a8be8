/** What ties a login to the TLS connection it comes over, seen from the server (RFC 5056). */
import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

export type ChannelBindingType = 'tls-exporter' | 'tls-server-end-point';

export function isChannelBindingType(name: string): name is ChannelBindingType {
  return name === 'tls-exporter' || name === 'tls-server-end-point';
}

const EXPORTED_OCTETS = 32;
/** By what stands in the name of a signature algorithm. */
const DIGESTS: readonly (readonly [name: RegExp, digest: string])[] = [
  [/sha-?512/i, 'sha512'],
  [/sha-?384/i, 'sha384'],
  [/sha-?256/i, 'sha256'],
  [/(md5|sha-?1)(?!\d)/i, 'sha256'], // RFC 5929 §4.1: no weaker than that
];

/** The binding data, undefined when this connection has none of the type. */
export function channelBinding(socket: Socket, type: ChannelBindingType): Buffer | undefined {
  if (!(socket instanceof TLSSocket)) return undefined;
  return type === 'tls-exporter' ? exporter(socket) : serverEndPoint(socket);
}

export function hasChannelBinding(socket: Socket): boolean {
  return channelBinding(socket, 'tls-exporter') !== undefined || channelBinding(socket, 'tls-server-end-point') !== undefined;
}

/** RFC 9266. Below TLS 1.3 it is unique only with extensions that we cannot see, so it is not offered there (§4.2). */
function exporter(socket: TLSSocket): Buffer | undefined {
  if (socket.getProtocol() !== 'TLSv1.3') return undefined;
  return socket.exportKeyingMaterial(EXPORTED_OCTETS, 'EXPORTER-Channel-Binding', Buffer.alloc(0));
}

/** RFC 5929 §4: a digest of our certificate; none where its signature names no digest (EdDSA, RSASSA-PSS). */
function serverEndPoint(socket: TLSSocket): Buffer | undefined {
  const certificate = socket.getX509Certificate();
  const algorithm = certificate?.signatureAlgorithm ?? '';
  const digest = DIGESTS.find(([name]) => name.test(algorithm))?.[1];
  return certificate === undefined || digest === undefined ? undefined : createHash(digest).update(certificate.raw).digest();
}
