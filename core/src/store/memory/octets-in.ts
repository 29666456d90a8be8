/** All octets and texts in a value of plain data, names included. */
export function* octetsIn(value: unknown): Generator<Uint8Array> {
  if (value instanceof Uint8Array) yield value;
  else if (typeof value === 'string') yield Buffer.from(value);
  else if (value instanceof Map) {
    for (const [key, item] of value) {
      yield* octetsIn(key);
      yield* octetsIn(item);
    }
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, item] of Object.entries(value)) {
      yield Buffer.from(key);
      yield* octetsIn(item);
    }
  }
}
