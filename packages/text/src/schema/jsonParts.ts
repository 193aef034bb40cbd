/** @file Grammar of the JSON texts of a shape, as Brzozowski derivatives by byte. */

import type { JsonShape } from './jsonShape.ts';

/** A pending part of the text. */
export interface Part {
  /** Equal for parts that allow the same text. */
  readonly key: string;
  readonly isOptional: boolean;
  /** The derivative by a byte: alternative remainders; none if the byte is not allowed. */
  after(byte: number): readonly (readonly Part[])[];
}

const nothing: readonly (readonly Part[])[] = [[]];
const never: readonly (readonly Part[])[] = [];
const encoder = new TextEncoder();
const code = (letter: string): number => letter.charCodeAt(0);

function oneOf(key: string, has: (byte: number) => boolean, rest: readonly Part[] = [], isOptional = false): Part {
  const left = [rest];
  return { key, isOptional, after: (byte) => (has(byte) ? left : never) };
}
const within = (least: number, most: number): Part =>
  oneOf(`${least}-${most}`, (byte) => byte >= least && byte <= most);
const among = (letters: string): Part => oneOf(`[${letters}]`, (byte) => letters.includes(String.fromCharCode(byte)));
const isDigit = (byte: number): boolean => byte >= 0x30 && byte <= 0x39;

function literal(text: string): Part {
  const bytes = encoder.encode(text);
  const from = (at: number): Part => ({
    key: `=${at} ${text}`,
    isOptional: false,
    after: (byte) => (byte !== bytes[at] ? never : at + 1 === bytes.length ? nothing : [[from(at + 1)]]),
  });
  return from(0);
}

/** An optional blank before a value, and after commas and colons. */
const blank: Part = oneOf('blank', (byte) => byte === 0x20, [], true);

const hex: Part = among('0123456789abcdefABCDEF');
const continued: Part = within(0x80, 0xbf);
/** After `\uD8` to `\uDB`, a high surrogate: the low one. */
const otherHalf: readonly Part[] = [hex, hex, literal('\\u'), among('dD'), among('cdefCDEF'), hex, hex];
/** After `\uD`: no lone surrogates. */
const behindD: Part = {
  key: '\\uD',
  isOptional: false,
  after: (byte) => {
    const letter = String.fromCharCode(byte);
    return '01234567'.includes(letter) ? [[hex, hex]] : '89abAB'.includes(letter) ? [otherHalf] : never;
  },
};
const behindU: Part = {
  key: '\\u',
  isOptional: false,
  after: (byte) =>
    byte === code('d') || byte === code('D') ? [[behindD]] : hex.after(byte).map(() => [hex, hex, hex]),
};
const escape: Part = {
  key: '\\',
  isOptional: false,
  after: (byte) =>
    byte === code('u') ? [[behindU]] : '"\\/bfnrt'.includes(String.fromCharCode(byte)) ? nothing : never,
};

/** Continuation bytes of a well-formed UTF-8 character (Unicode Standard, table 3-7), by its first byte. */
function behindFirst(byte: number): readonly Part[] | undefined {
  if (byte >= 0xc2 && byte <= 0xdf) return [continued];
  if (byte === 0xe0) return [within(0xa0, 0xbf), continued];
  if (byte === 0xed) return [within(0x80, 0x9f), continued];
  if (byte >= 0xe1 && byte <= 0xef) return [continued, continued];
  if (byte === 0xf0) return [within(0x90, 0xbf), continued, continued];
  if (byte === 0xf4) return [within(0x80, 0x8f), continued, continued];
  return byte >= 0xf1 && byte <= 0xf3 ? [continued, continued, continued] : undefined;
}

/** The remaining `min` to `max` characters of a string, and its closing quote. */
function characters(min: number, max: number): Part {
  return {
    key: `"${min} ${max}`,
    isOptional: false,
    after: (byte) => {
      if (byte === code('"')) return min === 0 ? nothing : never;
      if (max === 0 || byte < 0x20) return never;
      const rest = characters(Math.max(0, min - 1), max - 1);
      if (byte === code('\\')) return [[escape, rest]];
      if (byte < 0x80) return [[rest]];
      const more = behindFirst(byte);
      return more ? [[...more, rest]] : never;
    },
  };
}

/** Maximum digits: of integers (exact doubles); before the point (as JavaScript writes); after it; of exponents. */
const [WHOLE, BEFORE, BEHIND, EXPONENT] = [16, 21, 25, 2];

function digits(most: number): Part {
  return oneOf(`digits ${most}`, isDigit, most > 1 ? [digits(most - 1)] : [], true);
}

const digit: Part = oneOf('digit', isDigit);

/** An integer without leading zeros. */
function wholePart(most: number): Part {
  const unsigned: Part = {
    key: `whole ${most}`,
    isOptional: false,
    after: (byte) => (byte === code('0') ? nothing : isDigit(byte) ? [[digits(most - 1)]] : never),
  };
  return { key: `-${unsigned.key}`, isOptional: false, after: (byte) => (byte === code('-') ? [[unsigned]] : unsigned.after(byte)) }; // prettier-ignore
}

const fraction: Part = oneOf('fraction', (byte) => byte === code('.'), [digit, digits(BEHIND - 1)], true);
const sign: Part = oneOf('sign', (byte) => byte === code('-') || byte === code('+'), [], true);
const exponent: Part = oneOf('exponent', (byte) => byte === code('e') || byte === code('E'), [sign, digit, digits(EXPONENT - 1)], true); // prettier-ignore
const scalars = { integer: [wholePart(WHOLE)], number: [wholePart(BEFORE), fraction, exponent] } as const;

/** A value of a shape; `room` is the maximum nesting depth, at least the shape's. */
function value(shape: JsonShape, room: number): Part {
  let ways: readonly (readonly Part[])[] | undefined;
  return {
    key: `value ${shape.id} ${room}`,
    isOptional: false,
    after: (byte) => (ways ??= waysOf(shape, room)).flatMap((parts) => afterFirst(parts, byte)),
  };
}

/** A whole text: a value, perhaps after a blank. */
export function whole(shape: JsonShape, room: number): readonly Part[] {
  return [blank, value(shape, room)];
}

/** @param parts the first of them must not be optional */
function afterFirst([first, ...rest]: readonly Part[], byte: number): readonly (readonly Part[])[] {
  return first!.after(byte).map((left) => [...left, ...rest]);
}

function waysOf(shape: JsonShape, room: number): readonly (readonly Part[])[] {
  switch (shape.kind) {
    case 'fixed':
      return shape.texts.map((text) => [literal(text)]);
    case 'string':
      return [[literal('"'), characters(shape.min, shape.max)]];
    case 'number':
    case 'integer':
      return [scalars[shape.kind]];
    case 'union':
      return alternatives(shape).filter(({ depth }) => depth <= room).flatMap((each) => waysOf(each, room)); // prettier-ignore
    case 'object':
      return [[literal('{'), members(shape, room - 1, 0n)]];
    case 'map':
      return [[literal('{'), entries(shape, room - 1, true)]];
    case 'array':
      return [[literal('['), elements(shape, room - 1, 0)]];
  }
}

/** Flattens unions, which may refer to each other. */
function alternatives(shape: JsonShape, found: Set<JsonShape> = new Set()): readonly JsonShape[] {
  if (found.has(shape)) return [];
  found.add(shape);
  return shape.kind === 'union' ? shape.of.flatMap((each) => alternatives(each, found)) : [shape];
}

/** The remaining members of an object, and its end; `used` has a bit for each property present. */
function members(shape: Extract<JsonShape, { kind: 'object' }>, room: number, used: bigint): Part {
  const bitOf = (i: number): bigint => 1n << BigInt(i);
  const named: Part = {
    key: `name ${shape.id} ${room} ${used}`,
    isOptional: false,
    after: (byte) =>
      shape.properties.flatMap(({ name, shape: each }, i) => {
        if ((used & bitOf(i)) !== 0n || each.depth > room) return [];
        const parts = [literal(`${JSON.stringify(name)}:`), blank, value(each, room), members(shape, room, used | bitOf(i))]; // prettier-ignore
        return afterFirst(parts, byte);
      }),
  };
  return {
    key: `members ${shape.id} ${room} ${used}`,
    isOptional: false,
    after: (byte) => {
      const isLeft = (i: number): boolean => (used & bitOf(i)) === 0n;
      if (byte === code('}')) return shape.properties.some(({ isRequired }, i) => isRequired && isLeft(i)) ? never : nothing; // prettier-ignore
      if (used === 0n) return named.after(byte);
      const isMore =
        byte === code(',') && shape.properties.some(({ shape: { depth } }, i) => isLeft(i) && depth <= room);
      return isMore ? [[blank, named]] : never;
    },
  };
}

/** The remaining members of an object with arbitrary names, and its end. */
function entries(shape: Extract<JsonShape, { kind: 'map' }>, room: number, isFirst: boolean): Part {
  const isOpen = shape.values.depth <= room;
  const more = (): readonly Part[] => [literal('"'), characters(0, Infinity), literal(':'), blank, value(shape.values, room), entries(shape, room, false)]; // prettier-ignore
  return {
    key: `entries ${shape.id} ${room} ${isFirst}`,
    isOptional: false,
    after: (byte) => {
      if (byte === code('}')) return nothing;
      if (!isOpen) return never;
      if (isFirst) return afterFirst(more(), byte);
      return byte === code(',') ? [[blank, ...more()]] : never;
    },
  };
}

/** The remaining values of a list, and its end; `count` values are present, capped where more make no difference. */
function elements(shape: Extract<JsonShape, { kind: 'array' }>, room: number, count: number): Part {
  const { items, min, max } = shape;
  const isOpen = count < max && items.depth <= room;
  // Without an upper bound, all counts from `min` on are equivalent.
  const next = max === Infinity ? Math.min(count + 1, Math.max(1, min)) : count + 1;
  const more = (): readonly Part[] => [value(items, room), elements(shape, room, next)];
  return {
    key: `elements ${shape.id} ${room} ${count}`,
    isOptional: false,
    after: (byte) => {
      if (byte === code(']')) return count >= min ? nothing : never;
      if (!isOpen) return never;
      if (count === 0) return afterFirst(more(), byte);
      return byte === code(',') ? [[blank, ...more()]] : never;
    },
  };
}
