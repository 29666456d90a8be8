import { BROKEN, ENDED, HeaderScanner, isAtext, MORE, type Outcome } from './header-scanner.ts';
import { MAX_ADDRESSES } from './limits.ts';

/**
 * An address as ENVELOPE has it (RFC 9051 §7.5.2: addr-name, addr-adl, addr-mailbox, addr-host), latin1, encoded-words untouched.
 * Start of a group: only `mailbox`. End of a group: nothing. What a broken address lacks is MISSING_MAILBOX or MISSING_DOMAIN.
 */
export interface Address {
  readonly name: string | undefined;
  readonly route: string | undefined;
  readonly mailbox: string | undefined;
  readonly host: string | undefined;
}

const GROUP_END: Address = { name: undefined, route: undefined, mailbox: undefined, host: undefined };

/** Reads an address-list (RFC 5322 §3.4 and §4.4), in linear time; garbage becomes addresses with MISSING_* parts, never an error. */
export function parseAddressList(value: string): Address[] {
  const reader = new AddressReader(value);
  reader.read();
  return reader.addresses;
}

class AddressReader {
  readonly addresses: Address[] = [];
  readonly #scanner: HeaderScanner;
  #name: string | undefined;
  #route: string | undefined;
  #mailbox: string | undefined;
  #host: string | undefined;

  constructor(value: string) {
    this.#scanner = new HeaderScanner(value);
  }

  read(): void {
    const scanner = this.#scanner;
    if (scanner.skipSpace() !== MORE) return;
    while (this.addresses.length < MAX_ADDRESSES) {
      const start = scanner.position;
      let outcome = this.#group();
      if (outcome === BROKEN) {
        scanner.position = start;
        outcome = this.#anyMailbox();
      }
      if (outcome === ENDED || scanner.peek() !== 0x2c) return;
      const comma = ++scanner.position;
      outcome = scanner.skipSpace();
      if (outcome === BROKEN) {
        this.#name = scanner.value.slice(comma);
        this.#add();
      }
      if (outcome !== MORE) return;
    }
  }

  /** Finishes the address read so far; ENVELOPE must have a mailbox and a host, else it would denote a group. */
  #add(): void {
    this.addresses.push({
      name: this.#name,
      route: this.#route,
      mailbox: this.#mailbox ?? 'MISSING_MAILBOX',
      host: this.#host || 'MISSING_DOMAIN',
    });
    this.#name = this.#route = this.#mailbox = this.#host = undefined;
  }

  #group(): Outcome {
    const scanner = this.#scanner;
    if (scanner.phrase() !== MORE || scanner.peek() !== 0x3a) return BROKEN;
    const mailbox = scanner.text;
    scanner.position++;
    let outcome = scanner.skipSpace();
    this.addresses.push({ ...GROUP_END, mailbox });
    if (outcome === MORE && scanner.peek() !== 0x3b) outcome = this.#groupMembers();
    if (outcome === MORE) {
      if (scanner.peek() === 0x3b) {
        scanner.position++;
        outcome = scanner.skipSpace();
      } else outcome = BROKEN;
    }
    this.addresses.push(GROUP_END);
    return outcome === ENDED ? ENDED : MORE;
  }

  #groupMembers(): Outcome {
    const scanner = this.#scanner;
    while (this.addresses.length < MAX_ADDRESSES) {
      if (this.#anyMailbox() !== MORE) return BROKEN;
      if (scanner.peek() !== 0x2c) return MORE;
      scanner.position++;
      if (scanner.skipSpace() !== MORE) return BROKEN;
    }
    return BROKEN;
  }

  #anyMailbox(): Outcome {
    const scanner = this.#scanner;
    const start = scanner.position;
    let outcome = this.#nameAddr();
    if (outcome === BROKEN) {
      scanner.position = start;
      outcome = this.#addrSpec();
    }
    this.#add();
    return outcome;
  }

  #nameAddr(): Outcome {
    const scanner = this.#scanner;
    if (scanner.phrase() !== MORE || scanner.peek() !== 0x3c) return BROKEN;
    if (scanner.text !== '') this.#name = scanner.text;
    if (this.#angleAddr() === BROKEN) this.#host = 'SYNTAX_ERROR';
    return scanner.peek() < 0 ? ENDED : MORE;
  }

  #angleAddr(): Outcome {
    const scanner = this.#scanner;
    scanner.position++;
    let outcome = scanner.skipSpace();
    if (outcome !== MORE) return outcome;
    if (scanner.peek() === 0x40) {
      if (this.#routeDomains() === MORE && scanner.peek() === 0x3a) scanner.position++;
      else {
        this.#route = 'INVALID_ROUTE';
        if (scanner.peek() < 0) return BROKEN;
      }
      outcome = scanner.skipSpace();
      if (outcome !== MORE) return outcome;
    }
    if (scanner.peek() !== 0x3e) {
      outcome = this.#localPart();
      if (outcome !== MORE) return outcome;
      if (scanner.peek() === 0x40) {
        outcome = this.#domain();
        if (outcome !== MORE) return outcome;
      }
    }
    if (scanner.peek() !== 0x3e) return BROKEN;
    scanner.position++;
    return scanner.skipSpace();
  }

  /** obs-route (RFC 5322 §4.4): `@a,@b:` before the address. */
  #routeDomains(): Outcome {
    const scanner = this.#scanner;
    let route = '';
    while (scanner.peek() === 0x40) {
      scanner.text = '';
      const outcome = scanner.domain();
      if (outcome !== MORE) return outcome;
      route += `${route === '' ? '' : ','}@${scanner.text}`;
      while (scanner.skipSpace() === MORE && scanner.peek() === 0x2c) scanner.position++;
    }
    if (scanner.peek() < 0) return ENDED;
    this.#route = route;
    return MORE;
  }

  #localPart(): Outcome {
    const scanner = this.#scanner;
    scanner.text = '';
    const outcome = scanner.peek() === 0x22 ? scanner.quotedString() : scanner.dotAtom();
    if (outcome !== BROKEN) this.#mailbox = scanner.text;
    return outcome;
  }

  #domain(): Outcome {
    const scanner = this.#scanner;
    scanner.text = '';
    const outcome = scanner.domain();
    if (outcome !== BROKEN) this.#host = scanner.text;
    return outcome;
  }

  #addrSpec(): Outcome {
    const scanner = this.#scanner;
    scanner.lastComment = '';
    let outcome = this.#localPart();
    const local = scanner.text;
    const hasDomain = outcome !== ENDED && scanner.peek() === 0x40;
    if (hasDomain) {
      const domain = this.#domain();
      if (domain !== MORE) outcome = domain;
    }
    if (scanner.lastComment !== '') this.#name = scanner.lastComment;
    else if (!hasDomain) {
      // A lone word is a mailbox; followed by more words it is a display name without an address.
      const next = scanner.peek();
      if (isAtext(next) || next === 0x22) {
        scanner.phrase();
        this.#name = local === '' ? scanner.text : `${local} ${scanner.text}`;
        this.#mailbox = undefined;
      }
      return BROKEN;
    }
    return outcome;
  }
}
