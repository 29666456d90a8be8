import { BlockList, isIP, isIPv4, isIPv6 } from 'node:net';

/** `a.b.c.d/n` or `x::/n`, or a single address. */
export function isCidr(text: string): boolean {
  return parseCidr(text) !== undefined;
}

function parseCidr(text: string): { address: string; prefix: number; family: 'ipv4' | 'ipv6' } | undefined {
  const slash = text.indexOf('/');
  const address = slash < 0 ? text : text.slice(0, slash);
  const version = address.includes('%') ? 0 : isIP(address);
  if (version === 0) return undefined;
  const width = version === 4 ? 32 : 128;
  const digits = slash < 0 ? String(width) : text.slice(slash + 1);
  if (!/^\d{1,3}$/.test(digits) || Number(digits) > width) return undefined;
  return { address, prefix: Number(digits), family: version === 4 ? 'ipv4' : 'ipv6' };
}

/** A set of address ranges. */
export class AddressSet {
  readonly #blocks = new BlockList();

  /** @throws TypeError naming the first range that is none */
  constructor(ranges: readonly string[]) {
    for (const range of ranges) {
      const cidr = parseCidr(range);
      if (cidr === undefined) throw new TypeError(`not an address range: ${JSON.stringify(range)}`);
      this.#blocks.addSubnet(cidr.address, cidr.prefix, cidr.family);
    }
  }

  /** IPv4 in IPv6 (`::ffff:a.b.c.d`) counts as IPv4. What is no address is in no set. */
  has(address: string): boolean {
    const plain = plainAddress(address);
    if (plain === undefined) return false;
    return this.#blocks.check(plain, isIPv4(plain) ? 'ipv4' : 'ipv6');
  }
}

const loopback = new AddressSet(['127.0.0.0/8', '::1/128']);

/** IANA special-purpose ranges that a public service never has (RFC 6890): what a URL from outside must not reach. */
const privateRanges = new AddressSet([
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/3',
  '::/127',
  '64:ff9b::/96', // NAT64 and 6to4 hide an IPv4 address of any range
  '64:ff9b:1::/48',
  '100::/64',
  '2001::/32',
  '2001:db8::/32',
  '2002::/16',
  'fc00::/7',
  'fe80::/10',
  'fec0::/10',
  'ff00::/8',
]);

export function isLoopback(address: string): boolean {
  return loopback.has(address);
}

/** Loopback, private, link-local, documentation, multicast and whatever else is not a public unicast address. */
export function isPrivate(address: string): boolean {
  return privateRanges.has(address);
}

/** The address without zone, and as IPv4 when it is one in IPv6; `undefined` for what is no address. */
export function plainAddress(address: string): string | undefined {
  const zone = address.indexOf('%');
  const bare = zone < 0 ? address : address.slice(0, zone);
  if (isIPv4(bare)) return bare;
  if (!isIPv6(bare)) return undefined;
  const groups = ipv6Groups(bare);
  const isMapped = groups[5] === 0xffff && groups.slice(0, 5).every((group) => group === 0);
  if (!isMapped) return bare;
  const [high = 0, low = 0] = groups.slice(6);
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
}

/**
 * What counts as one client in limits by address: the IPv4 address, or the IPv6 /64, since a single host may use all of one.
 * One spelling for each group. What is no address is the group `?`.
 */
export function addressGroup(address: string): string {
  const plain = plainAddress(address);
  if (plain === undefined) return '?';
  if (isIPv4(plain)) return plain;
  const prefix = ipv6Groups(plain)
    .slice(0, 4)
    .map((group) => group.toString(16));
  return `${prefix.join(':')}::/64`;
}

/** The eight 16-bit groups of a valid IPv6 address. */
function ipv6Groups(address: string): number[] {
  const [head = '', tail] = address.split('::');
  const left = groupsOf(head);
  if (tail === undefined) return left;
  const right = groupsOf(tail);
  return [...left, ...new Array<number>(8 - left.length - right.length).fill(0), ...right];
}

function groupsOf(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (!group.includes('.')) return [Number.parseInt(group, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number);
    return [(a << 8) | b, (c << 8) | d];
  });
}
