/**
 * Where decoding of a part can go on: what a client gets in pieces (BINARY[1]<0.65536>, <65536.65536>...) is decoded once as a whole, not
 * from its start for each piece.
 */
import type { ContentId } from '../../store/store.ts';

export interface DecodePlace {
  /** Octet of the part's body, encoded. */
  readonly encodedAt: number;
  /** Octets that come out of what is before it. */
  readonly decodedAt: number;
  /** What the decoder has taken in and not given out there: at most some 1000 characters. */
  readonly held: string;
}

const START: DecodePlace = Object.freeze({ encodedAt: 0, decodedAt: 0, held: '' });

/** Parts that are remembered; the one longest unused goes. */
const PARTS = 4;
/** Places of one part: when there are more every second one goes, and new ones are twice as far apart. */
const PLACES = 32;
const FIRST_STRIDE_OCTETS = 256 * 1024;

/** The places of one part. */
export class PartPlaces {
  /** Ascending, all but the last one at least a stride apart. */
  readonly #places: DecodePlace[] = [];
  #stride = FIRST_STRIDE_OCTETS;

  /** The last one from which the decoded octet `offset` can be reached. */
  before(offset: number): DecodePlace {
    for (let index = this.#places.length - 1; index >= 0; index--) {
      const place = this.#places[index];
      if (place !== undefined && place.decodedAt <= offset) return place;
    }
    return START;
  }

  note(place: DecodePlace): void {
    const places = this.#places;
    const last = places.at(-1);
    if (last !== undefined && place.decodedAt <= last.decodedAt) return;
    // The last one moves on until it is a stride from the one before it.
    const kept = places.at(-2) ?? START;
    if (last !== undefined && last.decodedAt - kept.decodedAt < this.#stride) places.pop();
    places.push(place);
    if (places.length <= PLACES) return;
    this.#stride *= 2;
    let to = 0;
    for (let index = 1; index < places.length; index += 2) places[to++] = places[index] as DecodePlace;
    if (places[to - 1] !== place) places[to++] = place;
    places.length = to;
  }

  get count(): number {
    return this.#places.length;
  }
}

/** Of the mailbox that a session has selected. Contents never change, so nothing here grows old. */
export class DecodePlaces {
  readonly #parts = new Map<string, PartPlaces>();

  /** `bodyStart`: of the part within the message. */
  of(content: ContentId, bodyStart: number): PartPlaces {
    const key = `${content} ${bodyStart}`;
    const places = this.#parts.get(key) ?? new PartPlaces();
    this.#parts.delete(key);
    this.#parts.set(key, places);
    if (this.#parts.size > PARTS) {
      for (const oldest of this.#parts.keys()) {
        this.#parts.delete(oldest);
        break;
      }
    }
    return places;
  }
}
