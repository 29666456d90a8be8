/** Part numbers from a parsed BODYSTRUCTURE, as a client derives them (RFC 9051 §6.4.5.1). */
import type { ImapValue } from './fetch-response.ts';

export interface BodyPart {
  /** `1.2.1` */
  readonly path: string;
  /** Lower case; `multipart` or that of the leaf. */
  readonly type: string;
  /** Octets as BODYSTRUCTURE says; a multipart has none. */
  readonly sizeOctets: number | undefined;
  /** message/rfc822 and message/global: has HEADER and TEXT. */
  readonly isMessage: boolean;
}

/** @throws Error if it is no body structure */
export function bodyParts(structure: ImapValue | undefined): BodyPart[] {
  const found: BodyPart[] = [];
  if (!Array.isArray(structure)) throw new Error('BODYSTRUCTURE is no list');
  if (Array.isArray(structure[0])) children(structure, '', found);
  else part(structure, '1', found);
  return found;
}

function children(multipart: readonly ImapValue[], path: string, found: BodyPart[]): void {
  for (const [index, child] of multipart.entries()) {
    if (!Array.isArray(child)) break; // the subtype follows the parts
    part(child, path === '' ? String(index + 1) : `${path}.${index + 1}`, found);
  }
}

function part(structure: readonly ImapValue[], path: string, found: BodyPart[]): void {
  const [type, subtype, , , , , sizeOctets] = structure;
  if (Array.isArray(type)) {
    found.push({ path, type: 'multipart', sizeOctets: undefined, isMessage: false });
    children(structure, path, found);
    return;
  }
  if (typeof type !== 'string' || typeof subtype !== 'string' || typeof sizeOctets !== 'number')
    throw new Error(`part ${path}: no type, subtype or size`);
  const inner = structure[8];
  const isMessage = type.toLowerCase() === 'message' && Array.isArray(structure[7]) && Array.isArray(inner);
  found.push({ path, type: type.toLowerCase(), sizeOctets, isMessage });
  if (!isMessage || !Array.isArray(inner)) return;
  if (Array.isArray(inner[0])) children(inner, path, found);
  else part(inner, `${path}.1`, found);
}
