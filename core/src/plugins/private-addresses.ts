import { BlockList, isIP } from 'node:net';

/** Addresses that are not the public internet (IANA special-purpose registries), as `network/prefix`. */
const special4 = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/3', // multicast, reserved, broadcast
];
const special6 = [
  '::/96', // unspecified, loopback, IPv4-compatible
  '64:ff9b::/96', // NAT64: leads to any IPv4 address
  '64:ff9b:1::/48',
  '100::/64',
  '2001::/23', // Teredo among others
  '2001:db8::/32',
  '2002::/16', // 6to4: the same
  '3fff::/20',
  '5f00::/16',
  'fc00::/7',
  'fe80::/10',
  'fec0::/10',
  'ff00::/8',
];

export class AddressRules {
  readonly #special = listOf([...special4, ...special6]);
  readonly #allowed: BlockList;
  /** `allowed`: networks in CIDR that may be reached though they are private. */
  constructor(allowed: readonly string[]) {
    this.#allowed = listOf(allowed);
  }
  permits(address: string): boolean {
    const family = isIP(address);
    if (family === 0) return false;
    // A mapped address is judged as the IPv4 address that it reaches; BlockList does so.
    const type = family === 4 ? 'ipv4' : 'ipv6';
    return !this.#special.check(address, type) || this.#allowed.check(address, type);
  }
}
/** @throws TypeError when a network is not an address with a prefix length */
function listOf(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address = '', prefix = ''] = network.split('/');
    const family = isIP(address);
    const bits = Number(prefix);
    if (family === 0 || !/^\d{1,3}$/.test(prefix) || bits > (family === 4 ? 32 : 128))
      throw new TypeError(`not a network in CIDR form: ${network}`);
    list.addSubnet(address, bits, family === 4 ? 'ipv4' : 'ipv6');
  }
  return list;
}
