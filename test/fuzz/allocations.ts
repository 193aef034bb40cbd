/** @file Counts the bytes that code asks for, without touching that code: the constructors themselves keep the account. */

/** Allocations since the last {@link resetAllocations}. */
export interface Allocations {
  /** Bytes of typed arrays and buffers, of arrays and strings made in one call by their length. */
  total: number;
  /** The largest single one. */
  largest: number;
}

const account: Allocations = { total: 0, largest: 0 };

/** Largest array by length and string by repetition are counted at what V8 takes for an element. */
const POINTER_BYTES = 8;

/** The account. */
export function allocations(): Readonly<Allocations> {
  return account;
}

/** Sets the account to zero. */
export function resetAllocations(): void {
  account.total = 0;
  account.largest = 0;
}

function ask(bytes: number): void {
  if (!Number.isFinite(bytes) || bytes <= 0) return;
  account.total += bytes;
  account.largest = Math.max(account.largest, bytes);
}

const typedArrays = [
  'Int8Array', 'Uint8Array', 'Uint8ClampedArray', 'Int16Array', 'Uint16Array', 'Int32Array', 'Uint32Array',
  'Float32Array', 'Float64Array', 'BigInt64Array', 'BigUint64Array',
] as const; // prettier-ignore

/**
 * Puts counting constructors in the place of the global ones. To be called before the code under test is loaded, which
 * may keep references to them.
 *
 * Not counted: lists that grow element by element, and internal allocations of the engine. Samples of the heap show those.
 */
export function countAllocations(): void {
  const scope = globalThis as unknown as Record<string, unknown>;
  for (const name of typedArrays) {
    const original = scope[name] as Uint8ArrayConstructor;
    const counting: Uint8ArrayConstructor = new Proxy(original, {
      construct(target, given: unknown[], newTarget): object {
        const [first] = given;
        // A view of a buffer takes no memory of its own.
        const length = typeof first === 'number' ? first : ((first as { length?: number } | undefined)?.length ?? 0);
        if (!(first instanceof ArrayBuffer)) ask(length * original.BYTES_PER_ELEMENT);
        return Reflect.construct(target, given, newTarget === counting ? target : newTarget) as object;
      },
    });
    scope[name] = counting;
  }
  for (const name of ['ArrayBuffer', 'SharedArrayBuffer'] as const) {
    const original = scope[name] as ArrayBufferConstructor;
    const counting: ArrayBufferConstructor = new Proxy(original, {
      construct(target, given: [number], newTarget): object {
        ask(given[0]);
        return Reflect.construct(target, given, newTarget === counting ? target : newTarget) as object;
      },
    });
    scope[name] = counting;
  }
  const arrays = Array;
  const countingArray: ArrayConstructor = new Proxy(arrays, {
    construct(target, given: unknown[], newTarget): object {
      if (given.length === 1 && typeof given[0] === 'number') ask(given[0] * POINTER_BYTES);
      return Reflect.construct(target, given, newTarget === countingArray ? target : newTarget) as object;
    },
    apply(target, _, given: unknown[]): unknown {
      if (given.length === 1 && typeof given[0] === 'number') ask(given[0] * POINTER_BYTES);
      return Reflect.apply(target, undefined, given);
    },
  });
  scope['Array'] = countingArray;
  const { from } = arrays;
  arrays.from = function (this: unknown, items: unknown, ...rest: unknown[]): unknown[] {
    const isCount = typeof items === 'object' && items !== null && !(Symbol.iterator in items);
    if (isCount) ask(((items as { length?: number }).length ?? 0) * POINTER_BYTES);
    return Reflect.apply(from, arrays, [items, ...rest]) as unknown[];
  } as typeof Array.from;
  /* oxlint-disable typescript/unbound-method -- called with their own `this` below */
  const { repeat, padStart, padEnd } = String.prototype;
  String.prototype.repeat = function (this: string, count: number): string {
    ask(this.length * count);
    return Reflect.apply(repeat, this, [count]) as string;
  };
  for (const [name, pad] of [['padStart', padStart], ['padEnd', padEnd]] as const) {
    String.prototype[name] = function (this: string, length: number, ...rest: string[]): string {
      ask(length);
      return Reflect.apply(pad, this, [length, ...rest]) as string;
    };
  } // prettier-ignore
  const { alloc, allocUnsafe } = Buffer;
  Buffer.alloc = ((size: number, ...rest: []) => (ask(size), alloc(size, ...rest))) as typeof Buffer.alloc;
  Buffer.allocUnsafe = ((size: number) => (ask(size), allocUnsafe(size))) as typeof Buffer.allocUnsafe;
}
