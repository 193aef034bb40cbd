/** @file The bytes of tokens; a character may span several tokens. */

import { isObject, type JsonObject } from '@onnx-lora/sdk/data';

/** Byte-level vocabularies' character per byte, such as GPT-2's: the byte itself if visible, else one from 256 on. */
export const byteLetters: readonly string[] = (() => {
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => {
    const isSeen = (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
    return String.fromCodePoint(isSeen ? byte : next++);
  });
})();
const encoder = new TextEncoder();
const bytesOfLetters: ReadonlyMap<string, number> = new Map(byteLetters.map((letter, byte) => [letter, byte]));

/** The types of a tokenizer.json step, and of the steps within a `Sequence`. */
export function typesOf(step: unknown): readonly unknown[] {
  return stepsIn(step).map(({ type }) => type);
}

function stepsIn(step: unknown): readonly JsonObject[] {
  if (!isObject(step)) return [];
  const inner = ['processors', 'pretokenizers', 'normalizers', 'decoders'].map((name) => step[name]);
  return [step, ...inner.flatMap((list) => (Array.isArray(list) ? list.flatMap(stepsIn) : []))];
}

/** Decoders that map each token by itself, except for a leading blank. */
const plainDecoders: ReadonlySet<unknown> = new Set([
  'Sequence',
  'Replace',
  'Metaspace',
  'ByteFallback',
  'Fuse',
  'Strip',
]);

/**
 * A function to a token's bytes, by the decoder in tokenizer.json: a character per byte as in GPT-2, or sentence pieces
 * with `▁` for a blank and `<0x0A>` for a byte; `added` tokens are literal. Undefined if text depends on neighbours.
 */
export function tokenBytes(decoder: unknown, added: ReadonlySet<string>): ((token: string) => Uint8Array) | undefined {
  const steps = stepsIn(decoder);
  const types = steps.map(({ type }) => type);
  if (types.includes('ByteLevel')) {
    const bytes = (token: string): Uint8Array => Uint8Array.from(token, (letter) => bytesOfLetters.get(letter) ?? 0);
    return (token) => (added.has(token) ? encoder.encode(token) : bytes(token));
  }
  if (steps.length === 0 || !types.every((type) => plainDecoders.has(type))) return undefined;
  const hasBytes = types.includes('ByteFallback');
  const isBlank = (step: JsonObject): boolean =>
    step['type'] === 'Metaspace' || (isObject(step['pattern']) && step['pattern']['String'] === '▁' && step['content'] === ' '); // prettier-ignore
  if (!steps.every((step) => step['type'] !== 'Replace' || isBlank(step))) return undefined;
  const hasBlanks = steps.some(isBlank);
  return (token) => {
    const byte = hasBytes ? /^<0x([0-9A-Fa-f]{2})>$/.exec(token)?.[1] : undefined;
    if (byte !== undefined) return Uint8Array.of(Number.parseInt(byte, 16));
    return encoder.encode(hasBlanks ? token.replaceAll('▁', ' ') : token);
  };
}
